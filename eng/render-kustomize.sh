#!/usr/bin/env bash
# Renders deploy/kustomize/base/rynxs.yaml from the chart. Needs helm (./test gets one into artifacts/tools).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH="$root/artifacts/tools:$PATH"
helm template rynxs "$root/helm/rynxs" -n rynxs -f "$root/helm/rynxs/values-development.yaml" >"${1:-$root/deploy/kustomize/base/rynxs.yaml}"
