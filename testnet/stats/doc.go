// Package stats is the theory that testnets are held against, and the statistics that
// do it: intervals, the bootstrap by block, Kolmogorov–Smirnov, the risk of a double
// spend, the stale rate that delays and hash rates predict, a selfish miner's share.
// Each function names its paper and section. Pure: randomness is handed in.
package stats
