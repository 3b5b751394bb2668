# shellcheck shell=sh
# Lets a POSIX shell script speak Dagster Pipes 0.1 to the runner that started it. Source it; it needs awk, base64 and
# gzip, and no JSON program. Functions and variables that begin with pipes__ are its own.
#
#   . /opt/drayage/pipes.sh
#   pipes_open
#   month=$(pipes_get partition_key)
#   pipes_materialize '' '' "$(pipes_value rows int 3)" "$(pipes_text note md '**done**')"
#
# The script's exit closes Pipes: with an exception if its code is not 0.

# pipes_open: says "opened", and from then on sees to it that Pipes is closed.
pipes_open() {
    pipes__context=$(pipes__bootstrap DAGSTER_PIPES_CONTEXT "${DAGSTER_PIPES_CONTEXT-}" path) || exit 2
    if pipes__to=$(pipes__bootstrap DAGSTER_PIPES_MESSAGES "${DAGSTER_PIPES_MESSAGES-}" path 2> /dev/null); then
        exec 3>> "$pipes__to"
    else
        pipes__to=$(pipes__bootstrap DAGSTER_PIPES_MESSAGES "${DAGSTER_PIPES_MESSAGES-}" stdio) || exit 2
        if [ "$pipes__to" = stdout ]; then exec 3>&1; else exec 3>&2; fi
    fi
    pipes__closed=
    trap 'pipes__exit $?' EXIT
    pipes__child=
    trap pipes__terminated TERM
    pipes__send opened '{"extras":{}}'
}

# pipes_get KEY...: a value of the context, such as `pipes_get partition_key_range start` or `pipes_get asset_keys 0`.
# Text comes decoded, null as nothing, everything else as JSON; a value that is not there is an error.
pipes_get() { pipes__find text "$@" < "$pipes__context"; }

# pipes_get_json KEY...: the same as JSON, text in its quotes and null as null.
pipes_get_json() { pipes__find json "$@" < "$pipes__context"; }

# pipes_value NAME TYPE JSON: one piece of metadata, from a value that is JSON already.
pipes_value() { printf '%s:{"type":"%s","raw_value":%s}' "$(pipes_quote "$1")" "$2" "$3"; }

# pipes_text NAME TYPE TEXT: one piece of metadata, from any text; TYPE is text, url, md, path ….
pipes_text() { pipes_value "$1" "$2" "$(pipes_quote "$3")"; }

# pipes_materialize ASSET VERSION METADATA...: reports an asset; '' is the step's only one, and no data version.
pipes_materialize() {
    pipes__asset=$(pipes__asset_key "$1") || return
    pipes__version=null
    [ -z "$2" ] || pipes__version=$(pipes_quote "$2")
    shift 2
    pipes__send report_asset_materialization \
        "{\"asset_key\":$pipes__asset,\"data_version\":$pipes__version,\"metadata\":{$(pipes__joined "$@")}}"
}

# pipes_check ASSET NAME PASSED SEVERITY METADATA...: PASSED is true or false, SEVERITY WARN or ERROR.
pipes_check() {
    pipes__asset=$(pipes__asset_key "$1") || return
    pipes__check="\"check_name\":$(pipes_quote "$2"),\"passed\":$3,\"severity\":\"$4\""
    shift 4
    pipes__send report_asset_check "{\"asset_key\":$pipes__asset,$pipes__check,\"metadata\":{$(pipes__joined "$@")}}"
}

# pipes_log LEVEL TEXT: LEVEL is DEBUG, INFO, WARNING, ERROR or CRITICAL.
pipes_log() { pipes__send log "{\"level\":\"$1\",\"message\":$(pipes_quote "$2")}"; }

# pipes_custom JSON: sends any JSON, on one line, to the host.
pipes_custom() { pipes__send report_custom_message "{\"payload\":$1}"; }

# pipes_progress METADATA...: has numbers plotted while the step runs.
pipes_progress() { pipes_custom "{\"kind\":\"progress\",\"metadata\":{$(pipes__joined "$@")}}"; }

# pipes_run COMMAND...: runs a long command so that SIGTERM ends it at once; a shell hears no signal while it runs one.
pipes_run() {
    "$@" &
    pipes__child=$!
    wait "$pipes__child"
}

# pipes_fail NAME TEXT [CAUSE_NAME CAUSE_TEXT]: closes Pipes with an exception, and ends the script with 1.
pipes_fail() {
    pipes__cause=null
    [ $# -lt 4 ] || pipes__cause=$(pipes__exception "$3" "$4" null)
    pipes__close "$(pipes__exception "$1" "$2" "$pipes__cause")"
    printf '%s: %s\n' "$1" "$2" >&2
    exit 1
}

# pipes_quote TEXT: the text as a JSON string.
pipes_quote() {
    case $1 in
        *[\"\\[:cntrl:]]*)
            printf '%s\n' "$1" | LC_ALL=C awk '
                # & for what was found: how many backslashes a replacement needs differs from one awk to the next.
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

pipes__joined() (
    IFS=,
    printf '%s' "$*"
)

pipes__asset_key() {
    if [ -n "$1" ]; then
        pipes_quote "$1"
    elif ! pipes_get_json asset_keys 1 > /dev/null 2>&1; then
        pipes_get_json asset_keys 0
    else
        echo 'pipes: the step has several assets: name the one that is reported' >&2
        return 1
    fi
}

pipes__exception() {
    printf '{"name":%s,"message":%s,"stack":[%s],"cause":%s,"context":null}' \
        "$(pipes_quote "$1")" "$(pipes_quote "$2")" "$(pipes_quote "$0")" "$3"
}

pipes__close() {
    [ -z "$pipes__closed" ] || return 0
    pipes__closed=yes
    pipes__send closed "{${1:+\"exception\":$1}}"
}

pipes__terminated() {
    [ -z "$pipes__child" ] || kill "$pipes__child" 2> /dev/null
    pipes__close "$(pipes__exception Terminated 'ended by SIGTERM' null)"
    exit 143
}

pipes__exit() {
    if [ "$1" = 0 ]; then pipes__close; else pipes__close "$(pipes__exception Exit "the script ended with code $1" null)"; fi
}

# pipes__bootstrap NAME VALUE KEY: unpacks a bootstrap parameter, base64 of zlib of JSON. gzip reads zlib's data once the
# first eight bytes of its own header stand before it; it then misses its trailer, so that its exit code says nothing.
pipes__bootstrap() {
    {
        printf '\037\213\010\000\000\000\000\000'
        printf '%s' "$2" | base64 -d 2> /dev/null
    } | gzip -dc 2> /dev/null | pipes__find text "$3" || {
        echo "pipes: $1 holds no \`$3\`: was this started by Dagster?" >&2
        return 1
    }
}

# pipes__find text|json KEY...: finds a value in the JSON on standard input.
pipes__find() {
    pipes__as=$1
    shift
    # The keys go through the environment: awk would take backslashes out of arguments.
    PIPES__AS=$pipes__as PIPES__KEYS=$(printf '%s\037' "$@") LC_ALL=C awk '
        function blank() { while (substr(json, at, 1) ~ /[ \t\n\r]/) at++ }
        function skip_string(   from, c) {
            from = ++at
            while ((c = substr(json, at, 1)) != "\"") { if (c == "") exit 1; at += c == "\\" ? 2 : 1 }
            return substr(json, from, at++ - from)
        }
        # Goes over one value; `depth` is how many of the keys led here, or -1 off the way.
        function value(depth,   from, c, key, i) {
            blank(); from = at; c = substr(json, at, 1)
            if (c == "\"") skip_string()
            else if (c == "{" || c == "[") {
                at++; blank()
                for (i = 0; substr(json, at, 1) !~ /[]}]/; i++) {
                    key = i
                    if (c == "{") { key = decoded(skip_string()); blank(); at++ }
                    value(depth >= 0 && depth < wanted && key "" == keys[depth + 1] ? depth + 1 : -1)
                    if (substr(json, at, 1) == ",") { at++; blank() } else if (substr(json, at, 1) == "") exit 1
                }
                at++
            } else while (substr(json, at, 1) ~ /[-+.0-9A-Za-z]/) at++
            if (depth == wanted) { found = 1; show(substr(json, from, at - from)); exit }
            blank()
        }
        function show(text) {
            if (ENVIRON["PIPES__AS"] == "json") print text
            else if (text ~ /^"/) print decoded(substr(text, 2, length(text) - 2))
            else if (text != "null") print text
        }
        function hex(digits,   i, n) {
            for (i = 1; i <= 4; i++) n = n * 16 + index("0123456789abcdef", tolower(substr(digits, i, 1))) - 1
            return n
        }
        function utf8(n) {
            if (n < 128) return sprintf("%c", n)
            if (n < 2048) return sprintf("%c%c", 192 + int(n / 64), 128 + n % 64)
            if (n < 65536) return sprintf("%c%c%c", 224 + int(n / 4096), 128 + int(n / 64) % 64, 128 + n % 64)
            return sprintf("%c%c%c%c", 240 + int(n / 262144), 128 + int(n / 4096) % 64, 128 + int(n / 64) % 64, 128 + n % 64)
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
                } else out = out (c == "n" ? "\n" : c == "t" ? "\t" : c == "r" ? "\r" : c == "b" ? "\b" : c == "f" ? "\f" : c)
            }
            return out text
        }
        { json = json $0 "\n" }
        END {
            if (found) exit
            wanted = split(ENVIRON["PIPES__KEYS"], keys, "\037") - 1; at = 1
            value(0)
            exit 1
        }'
}
