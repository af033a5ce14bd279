package report

import (
	"math"

	"github.com/kapok-chain/kapok/testnet/report/chart"
)

// seconds writes a time for people.
func seconds(s float64) string {
	if math.IsNaN(s) {
		return "–"
	}
	if s == 0 {
		return "0\u00a0s"
	}
	if math.Abs(s) < 1e-3 {
		return chart.Number(s*1e6) + "\u00a0µs"
	}
	unit, name := chart.TimeUnit(math.Abs(s))
	return chart.Number(s/unit) + "\u00a0" + name
}

// percent writes a share.
func percent(share float64) string {
	if math.IsNaN(share) {
		return "–"
	}
	return chart.Number(math.Round(share*1e5)/1e3) + "\u00a0%"
}
