{{- define "kapok.name" -}}
{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "kapok.selector" -}}
app.kubernetes.io/name: kapok
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "kapok.labels" -}}
{{ include "kapok.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* What --network is told. */}}
{{- define "kapok.network" -}}
{{ if .Values.networkFile }}/etc/kapok/network.toml{{ else }}{{ .Values.network }}{{ end }}
{{- end }}

{{/* The settings of one node, which are kapok.toml in its data directory. */}}
{{- define "kapok.settings" -}}
{{- $root := .root -}}
{{- $name := include "kapok.name" $root -}}
listen = ["0.0.0.0:{{ $root.Values.ports.p2p }}"]
rpc = "127.0.0.1:{{ $root.Values.ports.rpc }}"
http = "127.0.0.1:{{ $root.Values.ports.explorer }}"
metrics = "0.0.0.0:{{ $root.Values.ports.metrics }}"
only-peers = true
lean = true
{{- $peers := list }}
{{- range .node.dials }}
{{- if ge (int .) (len $root.Values.nodes) }}{{ fail (printf "nodes[%d] dials node %d, and there are %d, counted from 0" $.index (int .) (len $root.Values.nodes)) }}{{ end }}
{{- $peers = append $peers (printf "%s-%d.%s.%s.svc:%d" $name (int .) $name $root.Release.Namespace (int $root.Values.ports.p2p)) }}
{{- end }}
peer = {{ $peers | toJson }}
{{- if gt (float64 .node.maxHashrate) 0.0 }}
mine = {{ $root.Values.payout | quote }}
max-hashrate = "{{ .node.maxHashrate | float64 | printf "%.0f" }}"
threads = 1
{{- end }}
{{- end }}
