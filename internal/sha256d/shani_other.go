//go:build !amd64

package sha256d

// shaLane and shaLanes are for the SHA instructions of amd64.
type shaLane struct{}

func shaLanes([]lane) []shaLane { return nil }
