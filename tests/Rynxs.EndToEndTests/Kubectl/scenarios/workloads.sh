#!/usr/bin/env bash
# Kinds that are stored without controllers (`rynxs up --api all`): what kubectl does to them that needs none.
source "$(dirname "$0")/lib.sh"
kubectl create namespace "$ns" >/dev/null
k create serviceaccount default >/dev/null 2>&1 || true

says 'deployment.apps/web created' k create deployment web --image=example/web:1 --replicas=1
says 'scaled' k scale deployment web --replicas=3
says '^3$' k get deployment web -o 'jsonpath={.spec.replicas}'
refuses 1 'Expected replicas|expected' k scale deployment web --current-replicas=1 --replicas=5
says 'image updated' k set image deployment/web web=example/web:2
says 'example/web:2' k get deploy web -o wide
says 'READY +UP-TO-DATE' k get deployments
says 'service/web exposed' k expose deployment web --port=80
says 'ClusterIP' k get service web
says 'patched' k patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"example/side:1"}]}}}}'
says '^web side$|^side web$' k get deploy web -o 'jsonpath={.spec.template.spec.containers[*].name}'
says 'cronjob.batch/tick created' k create cronjob tick --image=example/t --schedule='*/5 * * * *'
says 'job.batch/once created' k create job once --image=example/t
says 'role.rbac.authorization.k8s.io/reader created' k create role reader --verb=get --resource=configmaps
says 'rolebinding.rbac.authorization.k8s.io/reader created' k create rolebinding reader --role=reader --serviceaccount="$ns:default"
says 'poddisruptionbudget.policy/web created' k create pdb web --selector=app=web --min-available=1
says 'ingress.networking.k8s.io/web created' k create ingress web --rule='example.test/*=web:80'
says 'deployment.apps/web' k get all -o name
refuses 1 'spec.selector' k patch deployment web --type merge -p '{"spec":{"selector":{"matchLabels":{"other":"x"}}}}'
says 'deleted' k delete deployment,service,cronjob,job --all
