package main

import "github.com/urfave/cli/v2"

func reportCommand() *cli.Command {
	return &cli.Command{
		Name:      "report",
		Usage:     "make sense of testnets that ran",
		ArgsUsage: "DIR",
		Description: "Writes summary.json and report.html of the run in a directory anew, of what the run\n" +
			"recorded: after an interruption that nothing could be written after, or with a newer\n" +
			"version of this program.\n\n" +
			"Examples:\n" +
			"   kapok report runs/7\n" +
			"   kapok report --json runs/7 | jq .stale_rate",
		Flags:  []cli.Flag{jsonFlag},
		Action: remakeReport,
	}
}
