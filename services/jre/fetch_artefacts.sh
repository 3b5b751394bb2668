#!/bin/sh
# fetch-artefacts LIST FOLDER: downloads the Maven artefacts of LIST into FOLDER and verifies them.
#
# A line of LIST is "<sha-256> <group>:<artefact>:<type>[:<classifier>]:<version>"; empty lines and
# lines that start with # are ignored. Only listed artefacts are downloaded, so the list also has their
# dependencies. A file's name is <artefact>-<version>[-<classifier>].<type>.
set -eu

LIST=$1
FOLDER=$2
PLUGIN=org.apache.maven.plugins:maven-dependency-plugin:3.8.1
CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt
work=$(mktemp -d)

entries() {
    grep -Ev '^(#|[[:space:]]*$)' "$LIST"
}

# Java cannot read PEM files, so the bundle is converted to a trust store, which holds only public certificates.
openssl pkcs12 -export -nokeys -in "$CA_BUNDLE" -jdktrust anyExtendedKeyUsage \
    -passout pass:public -out "$work/trust.p12"

{
    echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
    echo '<groupId>drayage</groupId><artifactId>artefacts</artifactId><version>1</version>'
    echo '<packaging>pom</packaging><dependencies>'
    entries | awk '{
        n = split($2, part, ":")
        printf "<dependency><groupId>%s</groupId><artifactId>%s</artifactId>", part[1], part[2]
        printf "<type>%s</type><version>%s</version>", part[3], part[n]
        if (n == 5) printf "<classifier>%s</classifier>", part[4]
        print "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>"
    }'
    echo '</dependencies></project>'
} > "$work/pom.xml"

mvn --batch-mode --quiet --file "$work/pom.xml" \
    -Djavax.net.ssl.trustStore="$work/trust.p12" -Djavax.net.ssl.trustStorePassword=public \
    "$PLUGIN:copy-dependencies" -DoutputDirectory="$FOLDER" -Dmdep.useBaseVersion=true

entries | awk '{
    n = split($2, part, ":")
    name = part[2] "-" part[n] (n == 5 ? "-" part[4] : "") "." part[3]
    print $1 "  " name
}' > "$work/sums"
(cd "$FOLDER" && sha256sum --check --quiet --strict "$work/sums")
rm -r "$work"
