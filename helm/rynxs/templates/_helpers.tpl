{{- define "rynxs.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "rynxs.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "rynxs.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "rynxs.selector" -}}
app.kubernetes.io/name: {{ include "rynxs.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "rynxs.labels" -}}
{{ include "rynxs.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: rynxs
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end -}}

{{- define "rynxs.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "rynxs.ledgerSecret" -}}
{{ .Values.ledger.existingSecret | default (printf "%s-ledger-token" (include "rynxs.fullname" .)) }}
{{- end -}}

{{- define "rynxs.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "rynxs.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: ["ALL"]
{{- end -}}

{{- define "rynxs.store" -}}
{{- if eq .Values.logSink.type "s3" -}}
s3://{{ required "logSink.s3.bucket is required for logSink.type s3" .Values.logSink.s3.bucket }}/{{ .Values.logSink.s3.prefix }}
{{- else -}}
/var/lib/rynxs/ledger
{{- end -}}
{{- end -}}

{{- define "rynxs.s3Environment" -}}
{{- if eq .Values.logSink.type "s3" }}
env:
  - name: AWS_REGION
    value: {{ .Values.logSink.s3.region | quote }}
  {{- with .Values.logSink.s3.endpoint }}
  - name: AWS_ENDPOINT_URL_S3
    value: {{ . | quote }}
  {{- end }}
{{- with .Values.logSink.s3.accessKeySecret }}
envFrom:
  - secretRef:
      name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}
