#!/usr/bin/env bash
# Builds, tests, pushes and rolls out one version; goes back to the one before when that fails.

set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: scripts/deploy.sh <tag> <staging|production> [--dry-run] [--tested]

  <tag>       version of the image, like 1.4.0 or 1.4.0-rc.1; a tag is used once
  --dry-run   change nothing: check what can be checked, print what would be run
  --tested    leave out scripts/check and scripts/test: this commit has passed them already, in CI for example

Steps: preflight, tests, build, smoke test of the image, push, apply, wait, smoke test of the deployment.
When apply, wait or the last test fails, the deployment and its settings go back to what ran before.

Environment:
  REGISTRY         host and path that the image is pushed to; unset: no push, the cluster has to get it otherwise
  ENGINE           docker or podman (default: the one that works, docker first)
  BUILD_OPTIONS    more options for the build, like --build-arg PYTHON_IMAGE=...
  KUBE_CONTEXT     kubectl's context (default: the current one)
  ROLLOUT_SECONDS  how long the new pod may take (default 300)

Exit codes: 0 done, 1 something failed (rolled back where anything was changed), 2 wrong arguments.
TEXT
}

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
APP=api-anomaly-detection
TAG=""
ENVIRONMENT=""
DRY=0
TESTED=0
FORWARD=""

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }
misused() {
    printf 'deploy: %s\n\n' "$*" >&2
    usage >&2
    exit 2
}
fail() {
    printf 'deploy: %s\n' "$*" >&2
    exit 1
}

# Runs a command, or only shows it.
run() {
    if [ "$DRY" -eq 1 ]; then
        say "would run: $*"
    else
        say "+ $*"
        "$@"
    fi
}

# A preflight check that failed: ends a deployment, is only reported by a dry run.
missing() {
    [ "$DRY" -eq 1 ] || fail "$*"
    say "missing: $*"
}

parse() {
    while [ $# -gt 0 ]; do
        case "$1" in
            --dry-run) DRY=1 ;;
            --tested) TESTED=1 ;;
            -h | --help) usage; exit 0 ;;
            -*) misused "unknown option $1" ;;
            *)
                if [ -z "$TAG" ]; then TAG="$1"
                elif [ -z "$ENVIRONMENT" ]; then ENVIRONMENT="$1"
                else misused "too many arguments"; fi
                ;;
        esac
        shift
    done
    [ -n "$TAG" ] && [ -n "$ENVIRONMENT" ] || misused "a tag and an environment are needed"
    [[ "$TAG" =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ ]] || misused "$TAG is not a version like 1.4.0"
    case "$ENVIRONMENT" in
        staging) NAMESPACE="$APP-staging" ;;
        production) NAMESPACE="$APP" ;;
        *) misused "the environment is staging or production, not $ENVIRONMENT" ;;
    esac
    IMAGE="${REGISTRY:+${REGISTRY%/}/}$APP"
}

kube() { kubectl ${KUBE_CONTEXT:+--context "$KUBE_CONTEXT"} --namespace "$NAMESPACE" "$@"; }

choose_engine() {
    local candidate
    for candidate in ${ENGINE:-docker podman}; do
        if command -v "$candidate" >/dev/null 2>&1 && "$candidate" info >/dev/null 2>&1; then
            ENGINE="$candidate"
            say "container engine: $ENGINE"
            return
        fi
    done
    missing "a container engine that works: ${ENGINE:-docker or podman}; nothing can be built without one"
    ENGINE="${ENGINE:-docker}"
}

preflight() {
    step "preflight: $APP $TAG to $ENVIRONMENT (namespace $NAMESPACE)"
    choose_engine
    local program
    for program in kubectl curl python3 base64; do
        command -v "$program" >/dev/null 2>&1 || missing "$program in PATH"
    done
    if [ -n "$(git -C "$ROOT" status --porcelain 2>/dev/null)" ]; then
        [ "$ENVIRONMENT" = staging ] || missing "a clean working tree: what goes to production is what is committed"
        say "note: the working tree has changes that are not committed"
    fi
    if render >/dev/null; then say "manifests: rendered"; else missing "manifests that can be rendered"; fi
    if ! kube version --request-timeout=10s >/dev/null 2>&1; then
        missing "a cluster that answers; kubectl config current-context says which one is meant"
        return
    fi
    kube get secret "$APP" >/dev/null 2>&1 ||
        missing "the Secret $APP in namespace $NAMESPACE; k8s/secret.yaml.example says how to make it"
}

# The environment's manifests with this tag. kustomize reads folders only, so a small one is made beside k8s/.
render() {
    local folder result=0
    folder="$(mktemp -d "$ROOT/.deploy.XXXXXX")"
    cat >"$folder/kustomization.yaml" <<TEXT
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: ["../k8s-overlays/$ENVIRONMENT"]
images: [{name: $APP, newName: "$IMAGE", newTag: "$TAG"}]
TEXT
    kubectl kustomize "$folder" || result=$?
    rm -rf "$folder"
    return "$result"
}

build() {
    step "build"
    local format=()
    # Without it podman drops the image's health check.
    [ "$ENGINE" != podman ] || format=(--format docker)
    # As labels too: podman takes a cached layer of another version for the build arguments' one.
    local revision facts
    revision="$(git -C "$ROOT" rev-parse --verify --quiet HEAD || echo unknown)"
    facts=(--build-arg "VERSION=$TAG" --build-arg "REVISION=$revision"
        --label "org.opencontainers.image.version=$TAG" --label "org.opencontainers.image.revision=$revision")
    # shellcheck disable=SC2086 # several options in one variable
    run "$ENGINE" build ${format[@]+"${format[@]}"} ${BUILD_OPTIONS:-} "${facts[@]}" --tag "$IMAGE:$TAG" "$ROOT"
}

free_port() {
    python3 -I -c 'import socket
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    print(free.getsockname()[1])'
}

wait_for_health() {
    local url="$1" _
    for _ in $(seq 60); do
        if curl --fail --silent --noproxy '*' --max-time 2 "$url/health" >/dev/null; then return 0; fi
        sleep 1
    done
    say "no answer from $url/health within a minute"
    return 1
}

smoke_image() {
    step "smoke test of the image: read-only, without any capability"
    if [ "$DRY" -eq 1 ]; then
        say "would run: the image, then scripts/test_pipeline.py --train against it"
        return
    fi
    local port container token result=0
    port="$(free_port)"
    token="$(python3 -I -c 'import secrets; print(secrets.token_urlsafe(24))')"
    container="$(AUTH_TOKEN="$token" "$ENGINE" run --detach --read-only --cap-drop ALL \
        --security-opt no-new-privileges --env AUTH_TOKEN --publish "127.0.0.1:$port:8000" "$IMAGE:$TAG")"
    wait_for_health "http://127.0.0.1:$port" &&
        AUTH_TOKEN="$token" "$ROOT/scripts/test_pipeline.py" --url "http://127.0.0.1:$port" --train || result=1
    [ "$result" -eq 0 ] || "$ENGINE" logs "$container" 2>&1 | tail -n 20
    "$ENGINE" rm --force --volumes "$container" >/dev/null 2>&1 || true
    [ "$result" -eq 0 ] || fail "the image does not pass its smoke test; nothing was changed"
}

push() {
    step "push"
    if [ -z "${REGISTRY:-}" ]; then
        say "skipped: REGISTRY is unset, so the cluster has to get $IMAGE:$TAG in another way"
        return
    fi
    run "$ENGINE" push "$IMAGE:$TAG"
}

# What runs now, to go back to: image, revision and settings; all empty when there is nothing. A question that is not
# answered is no "nothing": without the answers there would be no way back.
remember() {
    local revision='jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}'
    BEFORE="$(asked deployment 'jsonpath={.spec.template.spec.containers[0].image}')" || unanswered
    REVISION="$(asked deployment "$revision")" || unanswered
    SETTINGS="$(asked configmap 'jsonpath={.data}')" || unanswered
    say "running now: ${BEFORE:-nothing}"
}

asked() { kube get "$1" "$APP" --ignore-not-found --output "$2"; }
unanswered() { fail "the cluster does not say what runs now; nothing was changed"; }

roll_back() {
    step "roll back"
    if [ -z "$BEFORE" ]; then
        say "nothing ran before, so there is nothing to go back to; the failed deployment stays for you to look at"
        return
    fi
    if [ -n "$SETTINGS" ]; then
        kube patch configmap "$APP" --type json --patch "[{\"op\": \"replace\", \"path\": \"/data\", \"value\": $SETTINGS}]" || true
    fi
    # By its number: where apply failed before it reached the Deployment, "the one before" would be one too far.
    if kube rollout undo "deployment/$APP" --to-revision "$REVISION" &&
        kube rollout status "deployment/$APP" --timeout "${ROLLOUT_SECONDS:-300}s"; then
        say "rolled back to $BEFORE"
    else
        say "THE ROLL-BACK FAILED TOO: look at kubectl --namespace $NAMESPACE get pods"
    fi
}

smoke_deployment() {
    step "smoke test of the deployment (changes no model)"
    local port token result=0
    port="$(free_port)"
    token="${AUTH_TOKEN:-$(kube get secret "$APP" --output 'jsonpath={.data.auth-token}' | base64 --decode)}" || return 1
    # Not through kube: of a function in the background only the shell would be stopped, never kubectl.
    kubectl ${KUBE_CONTEXT:+--context "$KUBE_CONTEXT"} --namespace "$NAMESPACE" \
        port-forward "service/$APP" "$port:80" --address 127.0.0.1 >/dev/null &
    FORWARD=$!
    wait_for_health "http://127.0.0.1:$port" &&
        AUTH_TOKEN="${token%%,*}" "$ROOT/scripts/test_pipeline.py" --url "http://127.0.0.1:$port" || result=1
    end_forward
    return "$result"
}

end_forward() {
    [ -n "$FORWARD" ] || return 0
    kill "$FORWARD" 2>/dev/null || true
    wait "$FORWARD" 2>/dev/null || true
    FORWARD=""
}

roll_out() {
    step "apply"
    if [ "$DRY" -eq 1 ]; then
        say "would run: kubectl apply of these objects"
        render 2>/dev/null | sed -n 's/^kind: /  /p' || say "  not known: the manifests cannot be rendered here"
        say "would run: kubectl rollout status deployment/$APP, then scripts/test_pipeline.py through a port-forward"
        say "would run on failure: kubectl rollout undo deployment/$APP, to the revision that runs now"
        return
    fi
    remember
    local manifests
    manifests="$(render)" || fail "the manifests cannot be rendered"
    trap give_up INT TERM
    if printf '%s\n' "$manifests" | kube apply --filename - &&
        step "wait" && kube rollout status "deployment/$APP" --timeout "${ROLLOUT_SECONDS:-300}s" &&
        smoke_deployment; then
        trap - INT TERM
        return
    fi
    give_up
}

# Also when somebody interrupts: a deployment is never left half-way.
give_up() {
    trap - INT TERM
    end_forward
    kube get pods --output wide || true
    roll_back
    fail "$TAG was not deployed to $ENVIRONMENT"
}

parse "$@"
preflight
step "tests"
if [ "$TESTED" -eq 1 ]; then
    say "skipped: --tested says that this commit has passed them"
else
    run "$ROOT/scripts/check"
    run "$ROOT/scripts/test"
fi
build
smoke_image
push
roll_out
if [ "$DRY" -eq 1 ]; then step "dry run: nothing was changed"; else step "$IMAGE:$TAG runs in $ENVIRONMENT"; fi
