#!/usr/bin/env bash
# What the server says of itself.
source "$(dirname "$0")/lib.sh"

says 'Server Version: v1\.' kubectl version
says 'configmaps +cm +v1 +true +ConfigMap' kubectl api-resources
says 'agents +ag.*universe.ai/v1alpha1 +true +Agent' kubectl api-resources --api-group=universe.ai
says 'namespaces' kubectl api-resources --namespaced=false -o name
says 'universe.ai/v1alpha1' kubectl api-versions
says '"swagger": ?"2.0"' kubectl get --raw /openapi/v2
says 'apis/universe.ai/v1alpha1' kubectl get --raw /openapi/v3
says 'KIND: +ConfigMap' kubectl explain configmap.data
says 'APIGroupList' kubectl get --raw /apis
says 'ok' kubectl get --raw /livez
refuses 1 "doesn't have a resource type" kubectl get nothings
