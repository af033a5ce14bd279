//go:build !amd64

package sha256d

var clockProbe, unitProbe Probe
