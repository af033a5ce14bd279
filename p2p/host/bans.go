package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// The file of the bans.
const (
	bansVersion = 1
	maxBansFile = 1 << 20 // bytes; maxDenied bans take less
)

// Ban is a refusal with an end.
type Ban struct {
	Target         string // a peer id, an IP address or a subnet
	Created, Until time.Time
}

// ban is a Ban with its target understood: an id or a prefix.
type ban struct {
	Ban
	id     peer.ID
	prefix netip.Prefix
}

// newBan understands the target of a ban, and writes it in the one way that it is
// known by.
func newBan(b Ban) (ban, error) {
	if ip, err := netip.ParseAddr(b.Target); err == nil {
		ip = ip.Unmap().WithZone("")
		b.Target = ip.String()
		return ban{Ban: b, prefix: netip.PrefixFrom(ip, ip.BitLen())}, nil
	}
	if prefix, err := netip.ParsePrefix(b.Target); err == nil {
		if ip := prefix.Addr(); ip.Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(ip.Unmap(), prefix.Bits()-96)
		}
		prefix = prefix.Masked()
		b.Target = prefix.String()
		return ban{Ban: b, prefix: prefix}, nil
	}
	id, err := peer.Decode(b.Target)
	if err != nil {
		return ban{}, fmt.Errorf("%q is no peer id, IP address or subnet", b.Target)
	}
	return ban{Ban: b, id: id}, nil
}

// means reports whether the ban is about this peer at this address; either may
// be unknown.
func (b *ban) means(id peer.ID, addr ma.Multiaddr) bool {
	if b.id != "" {
		return b.id == id
	}
	at, ok := addrPort(addr)
	return ok && b.prefix.Contains(at.Addr())
}

// Ban refuses a peer id, an IP address or a subnet until the time given, and
// disconnects whoever is meant. ErrBanned says that this is so already.
func (h *Host) Ban(target string, until time.Time) error {
	b, err := newBan(Ban{Target: target, Created: time.Now(), Until: until})
	if err != nil {
		return err
	}
	if err := h.gater.ban(b); err != nil {
		return err
	}
	h.saveBans()
	for _, s := range h.all() {
		if b.means(s.id, s.stream.Conn().RemoteMultiaddr()) {
			s.stop(errDisconnected)
		}
	}
	return nil
}

// Unban takes a refusal back; false where there is none.
func (h *Host) Unban(target string) bool {
	b, err := newBan(Ban{Target: target})
	if err != nil || !h.gater.unban(b.Target) {
		return false
	}
	h.saveBans()
	return true
}

// Bans lists the refusals that have not ended.
func (h *Host) Bans() []Ban { return h.gater.list(time.Now()) }

// bansFile is the JSON form of the bans. Times are Unix seconds.
type bansFile struct {
	Version int         `json:"version"`
	Bans    []banRecord `json:"bans"`
}

type banRecord struct {
	Target  string `json:"target"`
	Created int64  `json:"created"`
	Until   int64  `json:"until"`
}

// saveBans writes the bans in force. Where that fails it is logged: they hold until
// the next start.
func (h *Host) saveBans() {
	if h.cfg.BanFile == "" {
		return
	}
	h.banFile.Lock()
	defer h.banFile.Unlock()
	f := bansFile{Version: bansVersion, Bans: []banRecord{}}
	for _, b := range h.Bans() {
		f.Bans = append(f.Bans, banRecord{b.Target, b.Created.Unix(), b.Until.Unix()})
	}
	text, err := json.MarshalIndent(f, "", " ")
	if err == nil {
		err = replaceFile(h.cfg.BanFile, text)
	}
	if err != nil {
		h.log.Warn("cannot save the bans: they end with this process", "file", h.cfg.BanFile, "reason", err)
	}
}

// loadBans reads the bans of last time. A file that cannot be used is logged, and
// nobody is banned.
func (h *Host) loadBans() {
	text, err := readSmall(h.cfg.BanFile, maxBansFile)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var bans []ban
	if err == nil {
		bans, err = decodeBans(text)
	}
	if err != nil {
		h.log.Warn("the bans cannot be used: nobody is banned", "file", h.cfg.BanFile, "reason", err)
		return
	}
	for _, b := range bans {
		_ = h.gater.ban(b) // twice is no harm, and too many were never written
	}
}

func decodeBans(text []byte) ([]ban, error) {
	// A record takes much more memory than "{}" does.
	if n := bytes.Count(text, []byte("{")); n > 1+maxDenied {
		return nil, fmt.Errorf("%d bans, expected at most %d", n-1, maxDenied)
	}
	var f bansFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, err
	}
	if f.Version != bansVersion {
		return nil, fmt.Errorf("version %d, expected %d", f.Version, bansVersion)
	}
	bans := make([]ban, len(f.Bans))
	for i, r := range f.Bans {
		var err error
		if bans[i], err = newBan(Ban{r.Target, time.Unix(r.Created, 0), time.Unix(r.Until, 0)}); err != nil {
			return nil, err
		}
	}
	return bans, nil
}
