{{- /* What all objects are called. */ -}}
{{- define "corten.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "corten.labels" -}}
{{ include "corten.selector" . }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "corten.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "corten.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- /* The names that a list like `["*", "-job-controller"]` chooses, as JSON: the first word about a controller counts. */ -}}
{{- define "corten.chosen" -}}
{{- $top := .top -}}
{{- $roles := ($top.Files.Get "files/roles.yaml" | fromYaml).controllers -}}
{{- range $word := .words -}}
{{- $name := trimPrefix "-" $word -}}
{{- if and (ne $name "*") (not (hasKey $roles $name)) -}}
{{- fail (printf "%q is not a controller; there are %s, and * for all" $name (keys $roles | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- $chosen := list -}}
{{- range $name, $role := $roles -}}
{{- $said := false -}}{{- $on := false -}}
{{- range $word := $.words -}}
{{- if and (not $said) (eq $word $name) -}}{{- $said = true -}}{{- $on = true -}}{{- end -}}
{{- if and (not $said) (eq $word (printf "-%s" $name)) -}}{{- $said = true -}}{{- end -}}
{{- end -}}
{{- if and (not $said) (has "*" $.words) (not $role.onlyByName) -}}{{- $on = true -}}{{- end -}}
{{- if eq $top.Values.mode "beside" -}}
{{- if and $said $on (not $role.beside) -}}
{{- fail (printf "%q has no kind in Corten's own groups: in the mode beside the stock one serves all" $name) -}}
{{- end -}}
{{- $on = and $on $role.beside -}}
{{- end -}}
{{- if hasKey $top.Values.apart $name -}}{{- $on = false -}}{{- end -}}
{{- if $on -}}{{- $chosen = append $chosen $name -}}{{- end -}}
{{- end -}}
{{- dict "names" $chosen | toJson -}}
{{- end -}}

{{- /* All components that run: [{ name, component, parts, values, port, args }], as JSON. `parts` are the roles they have. */ -}}
{{- define "corten.components" -}}
{{- $top := . -}}
{{- $all := list -}}
{{- $beside := eq .Values.mode "beside" -}}
{{- $wait := "--if-stock-runs=wait" -}}
{{- $group := ternary (list "--group=corten.dev") (list $wait) $beside -}}
{{- with .Values.controllers -}}{{- if .enabled -}}
{{- $names := (include "corten.chosen" (dict "top" $top "words" .controllers) | fromJson).names -}}
{{- if not $names -}}{{- fail "controllers.controllers chooses none: set controllers.enabled to false" -}}{{- end -}}
{{- $args := concat (list "controllers" (printf "--controllers=%s" (join "," $names))) (include "corten.root" $names | fromJsonArray) $group -}}
{{- $all = append $all (dict "component" "controllers" "parts" $names "values" . "port" 10257 "args" $args "job" "kube-controller-manager") -}}
{{- end -}}{{- end -}}
{{- range $name, $own := .Values.apart -}}
{{- $values := mergeOverwrite (deepCopy $top.Values.controllers) (default dict $own) -}}
{{- $known := include "corten.chosen" (dict "top" (dict "Files" $top.Files "Values" (dict "mode" $top.Values.mode "apart" dict)) "words" (list $name)) -}}
{{- $args := concat (list "controllers" (printf "--controllers=%s" $name)) (include "corten.root" (list $name) | fromJsonArray) $group -}}
{{- $all = append $all (dict "component" $name "parts" (fromJson $known).names "values" $values "port" 10257 "args" $args "job" "kube-controller-manager") -}}
{{- end -}}
{{- with .Values.scheduler -}}{{- if .enabled -}}
{{- $own := ternary "corten" "default-scheduler" (eq $top.Values.mode "beside") -}}
{{- $args := ternary (list "scheduler") (list "scheduler" $wait) $beside -}}
{{- if .config -}}
{{- $args = append $args "--config=/etc/corten/scheduler.yaml" -}}
{{- else -}}
{{- $args = append $args (printf "--scheduler-name=%s" (default $own .schedulerName)) -}}
{{- end -}}
{{- $all = append $all (dict "component" "scheduler" "parts" (list "scheduler") "values" . "port" 10259 "args" $args "job" "kube-scheduler") -}}
{{- end -}}{{- end -}}
{{- with .Values.nodes -}}{{- if .enabled -}}
{{- $args := list "nodes" (printf "--count=%d" (int .count)) (printf "--name-prefix=%s" .namePrefix) (printf "--manage-kwok-nodes=%t" .manageKwokNodes) -}}
{{- $all = append $all (dict "component" "nodes" "parts" (list "nodes") "values" . "port" 10260 "args" $args "job" "corten-nodes") -}}
{{- end -}}{{- end -}}
{{- dict "all" $all | toJson -}}
{{- end -}}

{{- /* The authority that is published to pods is the one that our own were given, to the letter: what the stock controller
has published stays as it is, whichever of the two looks. */ -}}
{{- define "corten.root" -}}
{{- if has "root-ca-certificate-publisher-controller" . -}}
["--root-ca-file=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"]
{{- else -}}
[]
{{- end -}}
{{- end -}}

{{- /* The rules of a part in this mode, as JSON. */ -}}
{{- define "corten.rules" -}}
{{- $roles := .top.Files.Get "files/roles.yaml" | fromYaml -}}
{{- $role := default (get $roles.components .part) (get $roles.controllers .part) -}}
{{- $beside := eq .top.Values.mode "beside" -}}
{{- $rules := list -}}
{{- range $rule := $role.rules -}}
{{- $rule = deepCopy $rule -}}
{{- $group := first $rule.apiGroups -}}
{{- if and $beside (hasKey $roles.besideGroups $group) (ne $.part "scheduler") -}}
{{- $_ := set $rule "apiGroups" (list (get $roles.besideGroups $group)) -}}
{{- end -}}
{{- if or $beside (not (has $group (values $roles.besideGroups))) -}}
{{- $rules = append $rules $rule -}}
{{- end -}}
{{- end -}}
{{- dict "rules" $rules | toJson -}}
{{- end -}}
