#!/bin/sh
# Started by rsyslog's omprog (rsyslog-omprog.conf): collects the lines of a transaction and sends them in one POST /ingest.
# A transaction that fails is given to it again. Environment: ANOMALY_URL, AUTH_TOKEN.

set -u
batch="$(mktemp)" || exit 1
trap 'rm -f "$batch" "$batch.gz"' EXIT

# The token goes through standard input: the list of processes is for everybody.
send() {
    gzip -c "$batch" >"$batch.gz"
    printf 'header = "Authorization: Bearer %s"\n' "$AUTH_TOKEN" |
        curl --silent --output /dev/null --write-out '%{http_code}' --max-time 60 --config - \
            --header 'Content-Type: text/plain' --header 'Content-Encoding: gzip' \
            --data-binary "@$batch.gz" "$ANOMALY_URL/ingest"
}

echo OK
while IFS= read -r line; do
    case "$line" in
    'BEGIN TRANSACTION')
        : >"$batch"
        echo OK
        ;;
    'COMMIT TRANSACTION')
        status="$(send)"
        case "$status" in
        # Refused for good: sent again, it would be refused again.
        2?? | 400 | 413 | 415 | 422) echo OK ;;
        *) echo "the service answered $status" ;;
        esac
        ;;
    *)
        printf '%s\n' "$line" >>"$batch"
        echo DEFER_COMMIT
        ;;
    esac
done
