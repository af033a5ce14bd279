package record

import (
	"strings"
	"testing"
)

func TestCPUName(t *testing.T) {
	if got := CPUName("processor\t: 0\nmodel name\t: A 1\nmodel name\t: B 2\n"); got != "A 1" {
		t.Errorf("%q", got)
	}
	if got := CPUName("nothing"); !strings.HasPrefix(got, UnknownCPU) {
		t.Errorf("%q", got)
	}
	if m := ThisMachine(); m.CPU == "" || m.Cores < 1 || m.Kernel == "" || m.Go == "" {
		t.Errorf("%+v", m)
	}
}
