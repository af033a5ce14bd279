package consensus

// Uint256 is an unsigned 256-bit number: a target, or an amount of work. The
// least significant word comes first.
type Uint256 [4]uint64
