// Pins helm, with which the chart is tested; never part of the Rust build.
module corten/tools/helm

go 1.26.0

require helm.sh/helm/v3 v3.22.0
