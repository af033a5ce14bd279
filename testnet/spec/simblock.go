package spec

import "time"

// The figures of SimBlock for 2019: six regions, their share of Bitcoin's nodes, the
// upload bandwidths and the latency between them, as they stand in
// simulator/src/main/java/simblock/settings/NetworkConfiguration.java of
// github.com/dsg-titech/simblock at commit 5fc7f9f (2024-06-25; unchanged since
// 2020-04-26) under the names REGION_LIST, REGION_DISTRIBUTION_BITCOIN_2019,
// UPLOAD_BANDWIDTH_2019 and LATENCY_2019. SimBlock is by Y. Aoki, K. Otsuki, T. Kaneko,
// R. Banno and K. Shudo (CryBlock 2019, arXiv:1901.09777); what the change from the
// figures of 2015 to these does to Bitcoin is the subject of Nagayama, Shudo and Banno
// (2020, arXiv:1912.05208).
//
// SimBlock's latency is the mean time that a message takes in one direction, beside
// the time that its bytes take: Network.java draws it from a Pareto distribution of
// that mean, which begins 5 ms below it. Here a link's delay begins at the same place
// and has the same mean, evenly distributed: without the long tail, which would be
// drawn for each write of a TCP connection and hold up all that is behind it.
//
// A transfer in SimBlock has the lower of the sender's upload and the receiver's
// download bandwidth to itself. Here the sender's is shared by all its connections, as
// it is at a real uplink. Download bandwidths are left out: all are above all uploads,
// but for those to South America (18 Mbit/s) from North America (19.2) and Europe (20.7).
var simblockRegions = []region{
	{"NORTH_AMERICA", 0.3316, 19_200_000, []float64{32, 124, 184, 198, 151, 189}},
	{"EUROPE", 0.4998, 20_700_000, []float64{124, 11, 227, 237, 252, 294}},
	{"SOUTH_AMERICA", 0.0090, 5_800_000, []float64{184, 227, 88, 325, 301, 322}},
	{"ASIA_PACIFIC", 0.1177, 15_700_000, []float64{198, 237, 325, 85, 58, 198}},
	{"JAPAN", 0.0224, 10_200_000, []float64{151, 252, 301, 58, 12, 126}},
	{"AUSTRALIA", 0.0195, 11_300_000, []float64{189, 294, 322, 198, 126, 16}},
}

// region is a part of the world.
type region struct {
	name      string
	share     float64   // of the nodes
	uploadBps int64     // bits a second
	latencyMS []float64 // mean one-way, to each region
}

// simblockSpread is from the least to the most that one delay may be: twice the 5 ms by
// which SimBlock's least is below the mean.
const simblockSpread = 10 * time.Millisecond
