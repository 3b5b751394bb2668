# keep PROGRAM ARGUMENT...: runs a program in the background with a log of its own, and starts it again when it ends.
keep() {
    local log=/var/log/kubernetes/$1.log status
    while true; do
        status=0
        "$@" >> "$log" 2>&1 || status=$?
        echo "$1 ended with status $status and is started again" | tee -a "$log"
        sleep 1
    done &
}
