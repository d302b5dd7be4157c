#!/usr/bin/env bash
# A chart is installed, upgraded, rolled back and removed by unmodified helm (`rynxs up --api all`).
source "$(dirname "$0")/lib.sh"
kubectl create namespace "$ns" >/dev/null
export HELM_CACHE_HOME="$work/cache" HELM_CONFIG_HOME="$work/config" HELM_DATA_HOME="$work/data"
mkdir -p "$work/chart/templates"
cat >"$work/chart/Chart.yaml" <<YAML
apiVersion: v2
name: tiny
version: 0.1.0
YAML
printf 'colour: red\n' >"$work/chart/values.yaml"
cat >"$work/chart/templates/all.yaml" <<'YAML'
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-config, labels: {app: {{ .Release.Name }}}}
data: {colour: {{ .Values.colour | quote }}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: 1
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec: {containers: [{name: main, image: example/main:1}]}
YAML
says 'STATUS: deployed' helm install tiny "$work/chart" -n "$ns"
says '^red$' k get configmap tiny-config -o 'jsonpath={.data.colour}'
says 'tiny.*deployed' helm list -n "$ns"
says 'REVISION: 2' helm upgrade tiny "$work/chart" -n "$ns" --set colour=blue
says '^blue$' k get configmap tiny-config -o 'jsonpath={.data.colour}'
says 'Rollback was a success' helm rollback tiny 1 -n "$ns"
says '^red$' k get configmap tiny-config -o 'jsonpath={.data.colour}'
says 'uninstalled' helm uninstall tiny -n "$ns"
refuses 1 'NotFound' k get deployment tiny
