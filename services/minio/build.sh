#!/bin/sh
# Compiles each module of artefacts.txt (checksum, module, version, release time) into $GOBIN.
set -eu

while read -r checksum module version released; do
    # The release's name and time are linked in: the server reports them, and the console shows them.
    release="RELEASE.$(echo "$released" | tr : -)"
    go install -tags kqueue -ldflags "-s -w \
        -X $module/cmd.Version=$released \
        -X $module/cmd.CopyrightYear=${released%%-*} \
        -X $module/cmd.ReleaseTag=$release \
        -X $module/cmd.CommitID=${version##*-} \
        -X $module/cmd.ShortCommitID=${version##*-}" "$module@$version"

    binary="$GOBIN/${module##*/}"
    if ! go version -m "$binary" | awk '$1 == "mod"' | grep -qF "$checksum"; then
        echo "$module $version: expected checksum $checksum, but $binary was built from:" >&2
        go version -m "$binary" | awk '$1 == "mod"' >&2
        exit 1
    fi
done < "$(dirname "$0")/artefacts.txt"
