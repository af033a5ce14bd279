package spec_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/testnet/spec"
)

// now is the moment at which the tests' networks begin.
var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// base is a file that is fine: the lines that tests add come after its nine.
const base = `name = "test"
duration = "10m"
[network]
spacing = 1
[nodes]
count = 4
hashrate = "2 kH/s"
[links]
preset = "lan"
`

// write makes a directory with a testnet's file, and what is beside it.
func write(t *testing.T, text string, beside map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range beside {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "net.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBadFiles(t *testing.T) {
	const event = "[[event]]\nat = \"1m\"\n"
	for _, c := range []struct {
		name, from, to string // an edit of base; from "" appends
		line           int
		want           string
	}{
		{"no toml", `name = "test"`, `name = test`, 1, `expected value but found "test"`},
		{"nested", `name = "test"`, "name = " + strings.Repeat("{ a = ", 1000), 0, "nested more than 8 deep"},
		{"nested lists", `name = "test"`, "name = " + strings.Repeat("[", 1000), 0, "nested more than 8 deep"},
		{"long key", `name = "test"`, strings.Repeat("a.", 1000) + "b = 1", 0, "nested more than 8 deep"},
		{"too long", `name = "test"`, strings.Repeat("# nothing\n", 7000), 0, "longer than 64 KiB"},
		{"twice", "spacing = 1", "spacing = 1\nspacing = 2", 5, "already been defined"},
		{"unknown table", "", "[topologies]\n", 10, `"topologies" is unknown: expected one of blocks, description, duration, event,`},
		{"unknown key", `preset = "lan"`, `perset = "lan"`, 9, `[links] "perset" is unknown: expected one of jitter, latency, loss, matrix, preset, regions`},
		{"unknown key of an event", "", event + "do = \"partition\"\nshare = 0.5\n[[event]]\nat = \"2m\"\ndo = \"heal\"\nwhy = 1\n", 17, `[[event]] "why" is unknown`},
		{"unknown key in a list", "", "[payments]\ncurve = [\n { from = \"0s\", rate = 1 },\n { from = \"1s\", rate = 1, rates = 1 },\n]\n", 13, `[payments] curve "rates" is unknown: expected one of from, rate`},
		{"bad name", `"test"`, `"a test"`, 1, "expected 1 to 63 letters"},
		{"number for a duration", `"10m"`, `600`, 2, `duration 600: expected a duration such as "90s"`},
		{"no duration", `"10m"`, `"10 minutes"`, 2, `duration "10 minutes": expected a duration`},
		{"negative duration", `"10m"`, `"-1s"`, 2, `expected 1s to 168h`},
		{"duration and blocks", `duration = "10m"`, "duration = \"10m\"\nblocks = 5", 3, "blocks 5: expected either blocks or duration"},
		{"seed", `duration = "10m"`, "seed = -1", 2, "seed -1: expected a whole number of 0"},
		{"too many blocks", `"10m"`, `"100h"`, 2, "expected at most 100000 blocks"},

		{"preset main", "spacing = 1", `preset = "main"`, 4, `[network] preset "main": expected one of "local", "dev", "regtest"`},
		{"text for spacing", "spacing = 1", `spacing = "fast"`, 4, `[network] spacing "fast": expected 0.25 to 21600 seconds, as a number or as a text such as "500ms"`},
		{"spacing too short", "spacing = 1", `spacing = "100ms"`, 4, `[network] spacing "100ms": expected 0.25 to`},
		{"half a second with asert", "spacing = 1", `spacing = "500ms"`, 4, `[network] spacing 0.5: expected whole seconds, or difficulty = "fixed"`},
		{"easy blocks", "spacing = 1", "spacing = 0.25\ndifficulty = \"fixed\"\nstart_bits = \"207fffff\"", 6, `[network] start_bits "207fffff": expected a block every 0.25s to 21600s, and at this hash rate it is every 0.001s`},
		{"few hashes", `"2 kH/s"`, `"100 H/s"`, 4, "[network] spacing 1: expected at least 256 hashes a block, and all miners together do 100"},
		{"bits", "spacing = 1", `pow_limit = "easy"`, 4, `[network] pow_limit "easy": expected a compact target`},
		{"limit below start", "spacing = 1", "spacing = 1\npow_limit = \"1e00ffff\"", 3, "is easier than pow_limit"},
		{"rule", "spacing = 1", `difficulty = "magic"`, 4, `[network] difficulty "magic": expected one of "asert", "asert-relative", "bitcoin", "fixed"`},
		{"half-life of fixed", "spacing = 1", "difficulty = \"fixed\"\nspacing = 1\nhalf_life = 60", 6, `[network] half_life 60: expected no such key with difficulty "fixed"`},
		{"future limit", "spacing = 1", "spacing = 1\nfuture_limit = 60", 5, "[network] future_limit 60 is more than half of half_life 30"},
		{"genesis time", "spacing = 1", "genesis_time = 1", 4, `[network] "genesis_time" is unknown`},
		{"prefix", "spacing = 1", `hrp = "KPK"`, 4, "[network] hrp"},
		{"chain's name", "spacing = 1", "spacing = 1\nname = \"My net\"", 5, "[network] the name has 1 to 32"},
		{"much work", "spacing = 1", "spacing = 21600\ncoinbase_maturity = 1000\n[payments]\nrate = 0.001", 4, "expected at most 8.59e+09"},
		{"hard blocks", `"2 kH/s"`, `"2 GH/s"`, 4, "[network] spacing 1: expected blocks of at most 1.07e+09 hashes, and these take 2e+09"},
		{"hard start", `spacing = 1`, "start_bits = \"1c00ffff\"\nspacing = 1", 0, `[network] start_bits "1c00ffff": expected a block every`},

		{"no nodes", "count = 4\n", "", 5, "[nodes] count is missing: expected how many nodes there are, 1 to 50"},
		{"none", "count = 4", "count = 0", 6, "[nodes] count 0: expected a whole number of 1 to 50"},
		{"51", "count = 4", "count = 51", 6, "[nodes] count 51: expected a whole number of 1 to 50"},
		{"half a node", "count = 4", "count = 2.5", 6, "[nodes] count 2.5: expected a whole number"},
		{"hash rate without unit", `"2 kH/s"`, `2000`, 7, `[nodes] hashrate 2000: expected a text from "100 H/s" to "100 GH/s"`},
		{"hash rate in bits", `"2 kH/s"`, `"2 Mbit/s"`, 7, `[nodes] hashrate "2 Mbit/s"`},
		{"miners", "count = 4", "count = 4\nminers = 5", 7, "[nodes] miners 5: expected at most 4 miners"},
		{"shares by name", "count = 4", `count = 4` + "\nshares = \"fair\"", 7, `[nodes] shares "fair": expected one of "equal", "zipf"`},
		{"too few shares", "count = 4", "count = 4\nminers = 3\nshares = [1, 2]", 8, "[nodes] shares [1 2]: expected 3 numbers"},
		{"too many shares", "count = 4", "count = 4\nshares = [1, 2, 3, 4, 5]", 7, "[nodes] shares 5: expected at most 4 miners"},
		{"negative share", "count = 4", "count = 4\nshares = [1, -2]", 7, "[nodes] shares -2: expected numbers of 0"},
		{"shares of nothing", "count = 4", "count = 4\nshares = [0, 0]", 7, "[nodes] shares add up to 0"},
		{"parts above all", `"2 kH/s"`, "\"2 kH/s\"\n[[nodes.node]]\nnode = 1\nshare = 0.6\n[[nodes.node]]\nnode = 2\nhashrate = \"1 kH/s\"", 13, "[[nodes.node]] hashrate \"0.5\": expected that the parts of all [[nodes.node]] add up to at most 1"},
		{"part of nobody else", "count = 4", "count = 4\nshares = [0, 1]\nnode = [{ node = 2, share = 0.6 }]", 7, "[nodes] shares add up to 0.6"},
		{"slow miner", "count = 4", "count = 4\nshares = [1000000, 1]", 0, "node 2 would do 0.002 hashes a second: expected at least 1"},
		{"override of nobody", "", "[[nodes.node]]\nname = \"x\"\n", 10, "[[nodes.node]] node is missing"},
		{"override out of range", "", "[[nodes.node]]\nnode = 5\n", 11, "[[nodes.node]] node 5: expected 1 to 4"},
		{"override twice", "", "[[nodes.node]]\nnode = 2\n[[nodes.node]]\nnode = 2\n", 13, "[[nodes.node]] node 2: expected each node once"},
		{"names twice", "", "[[nodes.node]]\nnode = 2\nname = \"node-1\"\n", 10, `name "node-1" is that of nodes 1 and 2`},
		{"share and hash rate", "", "[[nodes.node]]\nnode = 2\nshare = 0.1\nhashrate = \"1 kH/s\"\n", 13, "expected either share or hashrate"},
		{"region without regions", "", "[[nodes.node]]\nnode = 2\nregion = \"EUROPE\"\n", 12, `[[nodes.node]] region "EUROPE": expected [links] preset = "simblock-2019"`},
		{"uplink", "count = 4", "count = 4\nuplink = \"fast\"", 7, `[nodes] uplink "fast": expected a text from "64 kbit/s" to "100 Gbit/s"`},

		{"topology", "", "[topology]\nkind = \"star\"\n", 11, `[topology] kind "star": expected one of "full", "random", "ring", "line"`},
		{"degree of a ring", "", "[topology]\nkind = \"ring\"\ndegree = 3\n", 12, `[topology] degree 3: expected no such key but with kind = "random"`},
		{"degree 1", "", "[topology]\nkind = \"random\"\ndegree = 1\n", 12, "[topology] degree 1: expected a degree with which 4 nodes can be connected: at least 2"},
		{"no such graph", "", "[topology]\nfile = \"none.csv\"\n", 11, "no such file"},
		{"graph elsewhere", "", "[topology]\nfile = \"../bad.csv\"\n", 11, "expected a path without .."},
		{"graph of another kind", "", "[topology]\nfile = \"net.toml\"\n", 11, "expected a name that ends in .graphml or .csv"},
		{"no edges", "", "[topology]\nfile = \"bad.csv\"\n", 11, `expected two node numbers of 1 to 50 in each row, and line 3 is "2,x"`},
		{"edge twice", "", "[topology]\nfile = \"twice.csv\"\n", 11, "each pair once, and line 3 has not"},
		{"apart", "", "[topology]\nfile = \"apart.csv\"\n", 11, "[topology] nodes are in 2 parts that have no connection: {1, 2} {3, 4}"},
		{"no such node", "", "[topology]\nfile = \"bad.graphml\"\n", 11, `expected edges between nodes of the graph, and line 4 is from "a" to "c"`},
		{"no xml", "", "[topology]\nfile = \"no.graphml\"\n", 11, "expected a GraphML file"},
		{"graph of fewer", "", "[topology]\nfile = \"two.graphml\"\n", 11, "a graph of the 4 nodes that [nodes] count says, and it has 2"},

		{"latency in words", `preset = "lan"`, "preset = \"constant\"\nlatency = \"fast\"", 10, `[links] latency "fast": expected a duration such as "90s"`},
		{"no latency", `preset = "lan"`, `preset = "constant"`, 8, "[links] latency is missing"},
		{"latency of lan", `preset = "lan"`, "preset = \"lan\"\nlatency = \"1s\"", 10, `[links] latency "1s": expected no such key but with preset = "constant"`},
		{"long latency", `preset = "lan"`, "preset = \"constant\"\nlatency = \"6s\"", 10, `[links] latency "6s": expected 0s to 5s`},
		{"long with jitter", `preset = "lan"`, "preset = \"constant\"\nlatency = \"4s\"\njitter = \"2s\"", 11, "[links] jitter \"2s\": expected delays of 0 to 5s with it"},
		{"jitter above the mean", `preset = "lan"`, "preset = \"simblock-2019\"\njitter = \"100ms\"", 10, "[links] jitter \"100ms\": expected delays of 0 to 5s"},
		{"loss", `preset = "lan"`, "preset = \"lan\"\nloss = 0.6", 10, "[links] loss 0.6: expected a share of segments of 0 to 0.5"},
		{"regions of lan", `preset = "lan"`, "preset = \"lan\"\nregions = {}", 10, "[links] regions {…}: expected no such key"},
		{"region", `preset = "lan"`, "preset = \"simblock-2019\"\nregions = { MARS = 1 }", 10, "[links] regions MARS = 1: expected weights such as"},
		{"weightless", `preset = "lan"`, "preset = \"simblock-2019\"\nregions = { JAPAN = 0 }", 10, "expected weights of which one is above 0"},
		{"too few regions", `preset = "lan"`, "preset = \"simblock-2019\"\nregions = [\"JAPAN\"]", 10, "expected 4 regions, one for each node, and these are 1"},
		{"matrix and preset", `preset = "lan"`, "preset = \"lan\"\nmatrix = \"two.csv\"", 10, "expected either matrix or preset"},
		{"matrix of fewer", `preset = "lan"`, `matrix = "two.csv"`, 9, "expected 4 rows, one for each node, and it has 2"},
		{"matrix of words", `preset = "lan"`, `matrix = "words.csv"`, 9, `expected milliseconds of 0 to 5000, and line 2 has "far"`},

		{"no rate", "", "[payments]\nwallets = 2\n", 10, "[payments] rate is missing"},
		{"rate", "", "[payments]\nrate = 1000\n", 11, "[payments] rate 1000: expected payments a second of 0 to 200"},
		{"rate and curve", "", "[payments]\nrate = 1\ncurve = \"load.csv\"\n", 12, "expected either curve or rate"},
		{"late curve", "", "[payments]\ncurve = [{ from = \"1s\", rate = 1 }]\n", 11, `[payments] curve from "1s": expected the first step to begin at 0s`},
		{"curve backwards", "", "[payments]\ncurve = [{ from = \"0s\", rate = 1 },\n { from = \"0s\", rate = 1 }]\n", 12, "expected steps in the order of time"},
		{"empty curve", "", "[payments]\ncurve = []\n", 11, "expected at least one step"},
		{"half a step", "", "[payments]\ncurve = [{ from = \"0s\" }]\n", 11, "[payments] curve rate is missing"},
		{"curve's file", "", "[payments]\ncurve = \"words.csv\"\n", 11, "expected seconds of 0 to 604800 and payments a second of 0 to 200 in each row, and line 1 is"},
		{"fees of a kind", "", "[payments]\nrate = 1\nfees = { kind = \"normal\" }\n", 12, `[payments] fees kind "normal": expected one of`},
		{"fees of no bounds", "", "[payments]\nrate = 1\nfees = { kind = \"uniform\", min = 1 }\n", 12, `[payments] fees max is missing`},
		{"fees turned around", "", "[payments]\nrate = 1\nfees = { kind = \"uniform\", min = 3, max = 2 }\n", 12, `[payments] fees max 2: expected at least min`},
		{"fee below relay", "", "[payments]\nrate = 1\nfees = { kind = \"constant\", rate = 0.5 }\n", 12, "[payments] fees rate 0.5: expected units per virtual byte of 1 to 1000"},
		{"median", "", "[payments]\nrate = 1\nfees = { kind = \"lognormal\", median = 50, sigma = 1, max = 20 }\n", 12, "[payments] fees median 50: expected a median within"},
		{"too many coins", `"10m"`, "\"20h\"\n[payments]\nrate = 100", 4, "[payments] and double spends take up to"},
		{"worthless coins", "spacing = 1", "spacing = 1\nhalving_interval = 1\n[payments]\nrate = 1", 5, "[network] halving_interval 1: expected coins of at least"},

		{"event without time", "", "[[event]]\ndo = \"heal\"\n", 10, "[[event]] at is missing"},
		{"event of nothing", "", event, 10, "[[event]] do is missing"},
		{"event of a kind", "", event + "do = \"explode\"\n", 12, `[[event]] do "explode": expected one of "partition", "heal"`},
		{"event too late", "", "[[event]]\nat = \"10m\"\ndo = \"stop\"\nnodes = [1]\n", 11, `[[event]] at "10m": expected a time before the run ends, which is at 10m`},
		{"negative time", "", "[[event]]\nat = \"-1m\"\ndo = \"stop\"\nnodes = [1]\n", 11, `expected 0s to`},
		{"ends too late", "", event + "do = \"selfish\"\nnode = 1\nfor = \"10m\"\n", 14, `[[event]] for "10m": expected an end before the run's, which is 9m later`},
		{"heal", "", event + "do = \"heal\"\n", 12, "[[event]] heal at 1m: expected a partition before it"},
		{"heal before", "", event + "do = \"heal\"\n[[event]]\nat = \"2m\"\ndo = \"partition\"\nshare = 0.5\n", 12, "[[event]] heal at 1m: expected a partition before it"},
		{"partition of none", "", event + "do = \"partition\"\n", 10, "[[event]] groups is missing: expected either"},
		{"partition of all", "", event + "do = \"partition\"\ngroups = [[1, 2, 3, 4]]\n", 13, "expected at least two groups"},
		{"in two groups", "", event + "do = \"partition\"\ngroups = [[1, 2], [2, 3]]\n", 13, "[[event]] groups 2: expected each node in one group"},
		{"share of none", "", event + "do = \"partition\"\nshare = 0.01\n", 13, "leaves at least one on each side"},
		{"nodes of a heal", "", event + "do = \"heal\"\nnodes = [1]\n", 13, `[[event]] nodes [1]: expected no such key with do = "heal"`},
		{"no such node", "", event + "do = \"kill\"\nnodes = [5]\n", 13, "[[event]] nodes 5: expected nodes of 1 to 4, as many as there are"},
		{"node 0", "", event + "do = \"kill\"\nnodes = [0]\n", 13, "[[event]] nodes 0: expected node numbers of 1 to 50, each once"},
		{"node twice", "", event + "do = \"kill\"\nnodes = [1, 1]\n", 13, "[[event]] nodes 1: expected node numbers"},
		{"no nodes to stop", "", event + "do = \"stop\"\n", 10, `[[event]] nodes is missing: expected it with do = "stop"`},
		{"stopped twice", "", event + "do = \"stop\"\nnodes = [2]\n[[event]]\nat = \"2m\"\ndo = \"kill\"\nnodes = [2]\n", 16, "[[event]] kill at 2m: expected nodes that run, and node 2 does not"},
		{"restart of one that runs", "", event + "do = \"restart\"\nnodes = [2]\n", 12, "[[event]] restart at 1m: expected nodes that were stopped or killed, and node 2 runs"},
		{"kill of an attacker", "", event + "do = \"selfish\"\nnode = 2\nfor = \"1m\"\n[[event]]\nat = \"3m\"\ndo = \"kill\"\nnodes = [2]\n", 17, "[[event]] kill at 3m: expected nodes that are left to themselves, and node 2 is the attacker of line 10"},
		{"no miner", "", event + "do = \"stop\"\nnodes = [1, 2, 3, 4]\n", 12, "[[event]] stop at 1m: expected that a miner runs"},
		{"attacker that does not mine", "count = 4", "count = 4\nminers = 2\n[[event]]\nat = \"1m\"\ndo = \"selfish\"\nnode = 3\n[nodes.x]", 0, `"x" is unknown`},
		{"idle attacker", "", event + "do = \"selfish\"\nnode = 4\n[[nodes.node]]\nnode = 4\nshare = 0\n", 12, "[[event]] selfish at 1m: expected an attacker that mines, and node 4 does not"},
		{"majority", "", event + "do = \"selfish\"\nnode = 4\n[[nodes.node]]\nnode = 4\nshare = 0.5\n", 12, "expected an attacker with less than half of the hash rate"},
		{"two attackers", "", event + "do = \"selfish\"\nnode = 1\n[[event]]\nat = \"2m\"\ndo = \"double-spend\"\nnode = 2\n", 16, "expected that the attack of line 10 has ended"},
		{"churn of most", "", event + "do = \"churn\"\nrate = 10\n", 12, "[[event]] churn at 1m: expected no more than half of its 4 nodes to be away on average, and with rate 10 and down \"20s\" it would be 3.33"},
		{"stop amid churn", "", event + "do = \"churn\"\nrate = 1\n[[event]]\nat = \"2m\"\ndo = \"stop\"\nnodes = [1]\n", 16, "expected nodes that churn leaves alone, and the one of line 10 stops and starts node 1 until 10m"},
		{"clock", "", event + "do = \"clock\"\nnodes = [1]\noffset = \"25h\"\n", 14, `[[event]] offset "25h": expected -24h to 24h`},
		{"confirmations", "", event + "do = \"double-spend\"\nnode = 1\nconfirmations = 0\n", 14, "[[event]] confirmations 0: expected a whole number of 1 to 100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := base + c.to
			if c.from != "" {
				if text = strings.Replace(base, c.from, c.to, 1); text == base {
					t.Fatal("the edit changes nothing")
				}
			}
			path := write(t, text, map[string]string{
				"bad.csv":     "# a comment\nfrom,to\n2,x\n",
				"twice.csv":   "1,2\n3,4\n2,1\n",
				"apart.csv":   "from,to\n2,1\n4,3\n",
				"two.csv":     "0,1\n1,0\n",
				"words.csv":   "0,1,1,1\n1,0,far,1\n1,1,0,1\n1,1,1,0\n",
				"no.graphml":  "<graphml><graph>",
				"bad.graphml": "<graphml>\n<graph>\n<node id='a'/>\n<edge source='a' target='c'/></graph></graphml>",
				"two.graphml": "<graphml><graph><node id='a'/><node id='b'/><edge source='a' target='b'/></graph></graphml>",
			})
			s, err := spec.Read(path, now)
			var first *spec.Error
			if s != nil || !errors.As(err, &first) {
				t.Fatalf("it is taken: %v", err)
			}
			if !strings.Contains(first.Text, c.want) || c.line != 0 && first.Line != c.line || first.File != path {
				t.Errorf("got line %d: %s\nwant line %d: %s", first.Line, first.Text, c.line, c.want)
			}
		})
	}
}
