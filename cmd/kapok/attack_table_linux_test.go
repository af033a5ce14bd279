package main

import "time"

// attacks is the table of attacks that are run against a node and its peers.
var attacks = []attack{
	{number: "1", name: "malformed gossip", peers: 5, run: malformedGossip, within: 10 * time.Second, cpu: 1},
	{number: "2", name: "oversized messages", peers: 8, run: oversized},
	{number: "3", name: "control flood", peers: 6, run: controlFlood, check: checkControl, heap: 16 << 20},
	{number: "4", name: "connection flood", apart: true, run: connectionFlood, check: newcomer},
	{number: "5", name: "headers of little work", peers: 20, prepare: prepareLowWork, run: lowWork, check: checkLowWork, heap: 20 << 20},
	{number: "5b", name: "headers without work", peers: 5, prepare: prepareNoWork, run: noWork, check: checkNoWork, within: 5 * time.Second},
	{number: "6", name: "orphan blocks", peers: 5, run: orphanBlocks, check: checkOrphans, heap: 64 << 20},
	{number: "7", name: "spam", peers: 5, prepare: listenOnly, run: spam, check: noSpam},
	{number: "7b", name: "replacements", peers: 1, run: replacements},
	{number: "9", name: "slow loris", peers: 20, crowd: 102, prepare: prepareWithheld, run: slowLoris, check: checkSlow, block: 5 * time.Second, least: 14 * time.Second},
	{number: "21", name: "churn", run: churn, check: checkChurn},
	{number: "22", name: "other versions", peers: 3, prepare: prepareVersions, run: otherVersions, check: unharmed},
	{number: "23", name: "garbage short ids", peers: 5, prepare: prepareGarbage, run: nothingElse, check: checkGarbage, block: time.Second},
	{number: "24", name: "headers forked near genesis", peers: 5, run: forkedHeaders, check: noBodies, heap: 4 << 20},
}

// nothingElse is for attackers that only do what honest blocks make them do.
func nothingElse(a *assault) { <-a.ctx.Done() }

func checkChurn(a *assault) { a.notef("%d peers came and went", a.rounds.Load()) }
