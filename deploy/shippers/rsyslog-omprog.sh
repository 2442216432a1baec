#!/bin/sh
# Started by rsyslog's omprog (rsyslog-omprog.conf): collects the lines of a transaction and sends them in one POST /ingest,
# again and again until they are taken. It does not report a failure: rsyslog would send the lines again one by one, and in
# another order. Meanwhile rsyslog's queue takes what comes. Environment: ANOMALY_URL, AUTH_TOKEN.

set -u
batch="$(mktemp)" || exit 1
trap 'rm -f "$batch" "$batch.gz"' EXIT
trap 'exit 1' TERM

# The token goes through standard input: the list of processes is for everybody.
post() {
    printf 'header = "Authorization: Bearer %s"\n' "$AUTH_TOKEN" |
        curl --silent --output /dev/null --write-out '%{http_code}' --max-time 60 --config - \
            --header 'Content-Type: text/plain' --header 'Content-Encoding: gzip' \
            --data-binary "@$batch.gz" "$ANOMALY_URL/ingest"
}

send() {
    gzip -c "$batch" >"$batch.gz"
    pause=1
    while :; do
        status="$(post)"
        case "$status" in
        # The last four are for good: sent again, the lines would be refused again.
        2?? | 400 | 413 | 415 | 422) return ;;
        esac
        echo "the service answered $status; next try in $pause s" >&2
        sleep "$pause"
        pause=$((pause * 2 > 30 ? 30 : pause * 2))
    done
}

echo OK
while IFS= read -r line; do
    case "$line" in
    'BEGIN TRANSACTION')
        : >"$batch"
        echo OK
        ;;
    'COMMIT TRANSACTION')
        send
        echo OK
        ;;
    *)
        printf '%s\n' "$line" >>"$batch"
        echo DEFER_COMMIT
        ;;
    esac
done
