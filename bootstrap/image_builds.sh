# shellcheck shell=bash
# Functions of the scripts that build images, to be sourced at the repository's root. With check=--check they only list what
# needs to be built.

LOGS=.drayage/build
CA_BUNDLE=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
if [ ! -s "$CA_BUNDLE" ]; then
    echo "The images' builds need a bundle of CA certificates, but $CA_BUNDLE is missing or empty: set SSL_CERT_FILE to this machine's bundle, or install ca-certificates." >&2
    exit 1
fi
mkdir -p "$LOGS"
export DOCKER_BUILDKIT=1

# inputs PARENT_INPUTS PATH...: prints a checksum of an image's sources in the working tree and of its parents' inputs.
inputs() {
    local parents=$1
    shift
    {
        echo "$parents"
        # git's own path exclusion is not used: before about version 2.43 it can leave nothing of a folder of two levels.
        # A template's tests and README count, because the host's image writes them.
        git ls-files --cached --others --exclude-standard -z -- "$@" \
            | grep --null-data --invert-match -P '^(?!.*/templates/).*(\.md$|/tests/)' \
            | sort --zero-terminated --unique | xargs --null --no-run-if-empty sha256sum
    } | sha256sum | cut -c 1-16
}

# build IMAGE INPUTS ARGUMENT...: builds drayage/IMAGE unless it exists and was built from the same inputs.
build() {
    local image=drayage/$1 wanted=$2 log="$LOGS/$1.log" started=$EPOCHREALTIME
    shift 2
    if [ "$(docker image inspect --format '{{index .Config.Labels "drayage.inputs"}}' "$image" 2> /dev/null)" = "$wanted" ]; then
        return
    fi
    if [ "${check:-}" = --check ]; then
        echo "  $image needs to be built"
        return
    fi
    echo "  building $image, log in $log"
    if ! docker build --progress plain --tag "$image" --label "drayage.inputs=$wanted" \
        --secret "id=ca,src=$CA_BUNDLE" "$@" > "$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "$image could not be built: the end of $log is above; to retry only this image: DOCKER_BUILDKIT=1 docker build --tag $image --secret id=ca,src=$CA_BUNDLE $*" >&2
        return 1
    fi
    printf '  %-44s %6.1f s\n' "built $image" "$(awk "BEGIN { print $EPOCHREALTIME - $started }")"
}

# together COMMAND...: runs the commands in parallel and fails if one of them fails.
together() {
    local pids=() failed=0 pid
    for command in "$@"; do
        $command &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || failed=1
    done
    return $failed
}
