{{- define "oauth-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "oauth-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "oauth-operator.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "oauth-operator.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "oauth-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "oauth-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "oauth-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "oauth-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "oauth-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "oauth-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: name the ServiceAccount, as serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "oauth-operator.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* Annotations of what is done after the chart was uninstalled, in the order of these numbers. */}}
{{- define "oauth-operator.afterwards" -}}
helm.sh/hook: post-delete
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
helm.sh/hook-weight: {{ . | quote }}
{{- end -}}

{{/* What the operator does in a namespace that it serves. */}}
{{- define "oauth-operator.namespaceRules" -}}
- apiGroups: [oauth-operator.dev]
  resources: [oauthcredentials]
  verbs: [get, list, watch]
- apiGroups: [oauth-operator.dev]
  resources: [oauthproviders]
  verbs: [list, watch]
- apiGroups: [oauth-operator.dev]
  resources: [oauthcredentials/status]
  verbs: [patch]
# The finalizer, for revocationPolicy OnDelete alone.
- apiGroups: [oauth-operator.dev]
  resources: [oauthcredentials]
  verbs: [patch]
# Inputs are read; state and output are written. Kubernetes can't limit list and watch by name.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [list, watch]
# Authorities of token servers.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch]
{{- if .Values.rbac.rolloutRestart }}
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets]
  verbs: [patch]
{{- end }}
{{- end -}}

{{/* What it reads of the cluster whatever it serves. */}}
{{- define "oauth-operator.clusterRules" -}}
- apiGroups: [oauth-operator.dev]
  resources: [clusteroauthproviders]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
{{- end -}}

{{/* How the monitors scrape. */}}
{{- define "oauth-operator.scraping" -}}
{{- with .Values.metrics.tls.secretName }}
scheme: https
tlsConfig:
  serverName: {{ include "oauth-operator.fullname" $ }}-metrics.{{ $.Release.Namespace }}.svc
  ca: {secret: {name: {{ . }}, key: ca.crt}}
{{- end }}
{{- with .Values.metrics.authentication.secretRef }}
{{- if .name }}
authorization: {credentials: {name: {{ .name }}, key: {{ .key }}}}
{{- end }}
{{- end }}
{{- end -}}
