package sha256d

import "testing"

func TestProbesCount(t *testing.T) {
	for name, probe := range map[string]Probe{"clock": ClockProbe(), "unit": UnitProbe()} {
		if probe == nil {
			continue
		}
		if one, five := probe(1), probe(5); one == 0 || five != 5*one {
			t.Errorf("%s: %d instructions in a round, %d in five", name, one, five)
		}
	}
}
