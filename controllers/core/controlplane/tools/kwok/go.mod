// Pins kwok, the fake nodes that Corten's own are compared with; never part of the Rust build.
module corten/tools/kwok

go 1.26.0

require sigs.k8s.io/kwok v0.8.0
