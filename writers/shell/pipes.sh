# shellcheck shell=sh
# Connects a POSIX shell script to the runner that started it, over Dagster Pipes 0.1. Source it; it needs awk, base64
# and gzip, but no JSON program. Functions and variables that begin with pipes__ are internal.
#
#   . /opt/drayage/pipes.sh
#   pipes_open
#   month=$(pipes_get partition_key)
#   pipes_materialize '' '' "$(pipes_value rows int 3)" "$(pipes_text note md '**done**')"

# pipes_open: sends "opened"; from then on the script's exit closes Pipes, with an exception if its code is not 0.
pipes_open() {
    pipes__context=$(pipes__bootstrap DAGSTER_PIPES_CONTEXT "${DAGSTER_PIPES_CONTEXT-}" path) || exit 2
    if pipes__to=$(pipes__bootstrap DAGSTER_PIPES_MESSAGES "${DAGSTER_PIPES_MESSAGES-}" path 2> /dev/null); then
        exec 3>> "$pipes__to"
    else
        pipes__to=$(pipes__bootstrap DAGSTER_PIPES_MESSAGES "${DAGSTER_PIPES_MESSAGES-}" stdio) || exit 2
        if [ "$pipes__to" = stdout ]; then exec 3>&1; else exec 3>&2; fi
    fi
    pipes__failure='' pipes__child=''
    trap 'pipes__close $?' EXIT
    trap '[ -z "$pipes__child" ] || kill "$pipes__child" 2> /dev/null; exit 143' TERM
    pipes__send opened '{"extras":{}}'
}

# pipes_get KEY...: prints a value of the context: `pipes_get partition_key_range start`, `pipes_get asset_keys 0`.
# Text is decoded, null is printed as nothing, everything else as JSON; a missing value is an error.
pipes_get() { pipes__find text "$@" < "$pipes__context"; }

# pipes_get_json KEY...: prints the same as JSON, text in quotes and null as null.
pipes_get_json() { pipes__find json "$@" < "$pipes__context"; }

# pipes_value NAME TYPE JSON: prints one metadata entry, from a value that is already JSON.
pipes_value() { printf '%s:{"type":"%s","raw_value":%s}' "$(pipes_quote "$1")" "$2" "$3"; }

# pipes_text NAME TYPE TEXT: prints one metadata entry, from any text; TYPE is text, url, md, path ….
pipes_text() { pipes_value "$1" "$2" "$(pipes_quote "$3")"; }

# pipes_materialize ASSET VERSION METADATA...: reports an asset; '' means the step's only asset, or no data version.
pipes_materialize() {
    pipes__version=${2:+$(pipes_quote "$2")}
    pipes__report report_asset_materialization "\"data_version\":${pipes__version:-null}" 2 "$@"
}

# pipes_check ASSET NAME PASSED SEVERITY METADATA...: PASSED is true or false, SEVERITY WARN or ERROR.
pipes_check() {
    pipes__report report_asset_check "\"check_name\":$(pipes_quote "$2"),\"passed\":$3,\"severity\":\"$4\"" 4 "$@"
}

# pipes_log LEVEL TEXT: LEVEL is DEBUG, INFO, WARNING, ERROR or CRITICAL.
pipes_log() { pipes__send log "{\"level\":\"$1\",\"message\":$(pipes_quote "$2")}"; }

# pipes_custom JSON: sends any JSON, on one line, to the host.
pipes_custom() { pipes__send report_custom_message "{\"payload\":$1}"; }

# pipes_progress ASSET METADATA...: sends numbers that the host plots while the step runs.
pipes_progress() { pipes__report report_custom_message '"kind":"progress"' 1 "$@"; }

# pipes_partition_metadata ASSET PARTITION METADATA...: adds metadata to the materialization of one partition.
pipes_partition_metadata() {
    pipes__report report_custom_message "\"kind\":\"partition_metadata\",\"partition_key\":$(pipes_quote "$2")" 2 "$@"
}

# pipes_external_stream STREAM TEXT: forwards the output of another process; STREAM is stdout or stderr.
pipes_external_stream() { pipes__send log_external_stream "{\"stream\":\"$1\",\"text\":$(pipes_quote "$2")}"; }

# pipes_run COMMAND...: runs a long command that SIGTERM ends at once; a shell handles no signals during a command.
pipes_run() {
    "$@" &
    pipes__child=$!
    wait "$pipes__child"
}

# pipes_fail NAME TEXT [CAUSE_NAME CAUSE_TEXT]: ends the script with 1, and closes Pipes with an exception.
pipes_fail() {
    pipes__failure=$(pipes__exception "$1" "$2" "${3:+$(pipes__exception "$3" "$4")}")
    printf '%s: %s\n' "$1" "$2" >&2
    exit 1
}

# pipes_quote TEXT: prints the text as a JSON string.
pipes_quote() {
    case $1 in
        *[\"\\[:cntrl:]]*)
            printf '%s\n' "$1" | LC_ALL=C awk '
                # & repeats the match: the number of backslashes that a replacement needs differs between awks.
                BEGIN { printf "\"" }
                {
                    gsub(/\\/, "&&"); gsub(/"/, "\\\\&"); gsub(/\t/, "\\t"); gsub(/\r/, "\\r")
                    for (i = 1; i < 32; i++) gsub(sprintf("%c", i), sprintf("\\u%04x", i))
                    printf "%s%s", (NR > 1 ? "\\n" : ""), $0
                }
                END { printf "\"" }' ;;
        *) printf '"%s"' "$1" ;;
    esac
}

pipes__send() { printf '{"__dagster_pipes_version":"0.1","method":"%s","params":%s}\n' "$1" "$2" >&3; }

# pipes__report METHOD MEMBERS COUNT ASSET...: sends a report; the metadata start COUNT arguments after ASSET.
pipes__report() (
    method=$1 params=$2 count=$3 key=$4
    shift $((count + 3))
    if [ -n "$key" ]; then
        key=$(pipes_quote "$key")
    elif pipes_get_json asset_keys 1 > /dev/null || ! key=$(pipes_get_json asset_keys 0); then
        echo 'pipes: the step does not have exactly one asset: name the one to report' >&2
        exit 1
    fi
    IFS=,
    params="{$params,\"asset_key\":$key,\"metadata\":{$*}}"
    if [ "$method" = report_custom_message ]; then pipes_custom "$params"; else pipes__send "$method" "$params"; fi
)

pipes__exception() {
    printf '{"name":%s,"message":%s,"stack":[%s],"cause":%s,"context":null}' \
        "$(pipes_quote "$1")" "$(pipes_quote "$2")" "$(pipes_quote "$0")" "${3:-null}"
}

# pipes__close CODE: sends "closed", with an exception if CODE is not 0.
pipes__close() {
    case $1 in
        0) pipes__failure='' ;;
        143) pipes__failure=$(pipes__exception Terminated 'ended by SIGTERM') ;;
        *) : "${pipes__failure:=$(pipes__exception Exit "the script ended with code $1")}" ;;
    esac
    pipes__send closed "{${pipes__failure:+\"exception\":$pipes__failure}}"
}

# pipes__bootstrap NAME VALUE KEY: unpacks a bootstrap parameter: base64 of zlib of JSON. gzip reads zlib's data after
# the first eight bytes of a gzip header; the trailer is then missing, so gzip's exit code is meaningless.
pipes__bootstrap() {
    {
        printf '\037\213\010\000\000\000\000\000' && printf '%s' "$2" | base64 -d 2> /dev/null
    } | gzip -dc 2> /dev/null | pipes__find text "$3" || {
        echo "pipes: $1 has no \`$3\`; was this script started by Dagster?" >&2
        return 1
    }
}

# pipes__find text|json KEY...: prints a value of the JSON on standard input.
pipes__find() {
    # Passed through the environment, because awk would remove backslashes from arguments. The first one is the format.
    PIPES__ASKED=$(printf '%s\037' "$@") LC_ALL=C awk '
        function blank() { while (substr(json, at, 1) ~ /[ \t\n\r]/) at++ }
        function skip_string(   from, c) {
            from = ++at
            while ((c = substr(json, at, 1)) != "\"") { if (c == "") exit 1; at += c == "\\" ? 2 : 1 }
            return substr(json, from, at++ - from)
        }
        # Reads one value; `depth` is the number of keys that led here, or -1 if the value is not on the path.
        function value(depth,   from, c, key, i) {
            blank(); from = at; c = substr(json, at, 1)
            if (c == "\"") skip_string()
            else if (c == "{" || c == "[") {
                at++; blank()
                for (i = 0; substr(json, at, 1) !~ /[]}]/; i++) {
                    key = i
                    if (c == "{") { key = decoded(skip_string()); blank(); at++ }
                    value(depth >= 0 && depth < wanted && key "" == asked[depth + 2] ? depth + 1 : -1)
                    if (substr(json, at, 1) == ",") { at++; blank() } else if (substr(json, at, 1) == "") exit 1
                }
                at++
            } else while (substr(json, at, 1) ~ /[-+.0-9A-Za-z]/) at++
            if (depth == wanted) { print shown(substr(json, from, at - from)); exit }
            blank()
        }
        function shown(text) {
            if (asked[1] == "text" && text ~ /^"/) return decoded(substr(text, 2, length(text) - 2))
            return asked[1] == "text" && text == "null" ? "" : text
        }
        function hex(digits,   i, n) {
            for (i = 1; i <= 4; i++) n = n * 16 + index("0123456789abcdef", tolower(substr(digits, i, 1))) - 1
            return n
        }
        function utf8(n,   most, tail) {
            if (n < 128) return sprintf("%c", n)
            for (most = 64; n >= most; most /= 2) { tail = sprintf("%c", 128 + n % 64) tail; n = int(n / 64) }
            return sprintf("%c", 256 - 2 * most + n) tail
        }
        function decoded(text,   out, i, c, n) {
            while ((i = index(text, "\\"))) {
                out = out substr(text, 1, i - 1); c = substr(text, i + 1, 1); text = substr(text, i + 2)
                if (c == "u") {
                    n = hex(text); text = substr(text, 5)
                    if (n >= 55296 && n < 56320 && substr(text, 1, 2) == "\\u") {
                        n = 65536 + (n - 55296) * 1024 + hex(substr(text, 3)) - 56320; text = substr(text, 7)
                    }
                    out = out utf8(n)
                } else out = out ((i = index("ntrbf", c)) ? substr("\n\t\r\b\f", i, 1) : c)
            }
            return out text
        }
        { json = json $0 "\n" }
        END {
            wanted = split(ENVIRON["PIPES__ASKED"], asked, "\037") - 2; at = 1
            value(0)
            exit 1
        }'
}
