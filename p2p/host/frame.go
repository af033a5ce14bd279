package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"time"

	pool "github.com/libp2p/go-buffer-pool"

	"github.com/kapok-chain/kapok/p2p"
)

// stream is what frames need of a libp2p stream.
type stream interface {
	io.Reader
	io.Writer
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// frameHeader is the size of a frame's length in bytes.
const frameHeader = 4

// errFrameSize: the announced length is 0 or above the limit.
var errFrameSize = errors.New("frame of a forbidden size")

// frameBudget is how long a frame of size bytes may take in all.
func frameBudget(size int) time.Duration {
	return frameTimeout + time.Duration(size)*time.Second/frameRate
}

// readFrame reads one frame of at most limit bytes. It waits for the first byte
// as long as it takes; from then on the deadlines of limits.go apply. Memory
// grows with the bytes that came, not with those that were announced, and in counts
// what goes beyond the first chunk; the caller says when that is over. Buffers that a frame
// outgrew, or that it never filled, serve the next ones: peers that begin frames and stop
// would keep the collector at work otherwise.
func readFrame(s stream, limit int, in *incoming) ([]byte, error) {
	var header [frameHeader]byte
	if err := s.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	n, err := io.ReadAtLeast(s, header[:], 1)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if n < frameHeader {
		if err := s.SetReadDeadline(start.Add(headerTimeout)); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(s, header[n:]); err != nil {
			return nil, fmt.Errorf("frame header: %w", err)
		}
	}
	announced := binary.BigEndian.Uint32(header[:])
	if announced == 0 || uint64(announced) > uint64(limit) {
		return nil, fmt.Errorf("%w: %d bytes, expected 1 to %d", errFrameSize, announced, limit)
	}
	size := int(announced)
	end := start.Add(frameBudget(size))
	body := make([]byte, 0, min(size, chunkSize))
	failed := func(err error) ([]byte, error) {
		pool.Put(body)
		return nil, err
	}
	for len(body) < size {
		from := len(body)
		next := min(chunkSize, size-from)
		if cap(body)-from < next {
			most := powerOfTwo(min(max(2*from, from+next), size))
			if err := in.grow(most); err != nil {
				return failed(err)
			}
			grown := append(pool.Get(most)[:0], body...)
			pool.Put(body)
			body = grown
		}
		body = body[:from+next]
		if err := s.SetReadDeadline(earlier(time.Now().Add(chunkTimeout), end)); err != nil {
			return failed(err)
		}
		if _, err := io.ReadFull(s, body[from:]); err != nil {
			return failed(fmt.Errorf("frame body, %d of %d bytes: %w", from, size, err))
		}
	}
	return body, nil
}

// powerOfTwo rounds n up, as the pool does.
func powerOfTwo(n int) int { return 1 << bits.Len(uint(n-1)) }

// newFrame returns body behind its length.
func newFrame(body []byte) []byte {
	frame := make([]byte, frameHeader, frameHeader+len(body))
	binary.BigEndian.PutUint32(frame, uint32(len(body)))
	return append(frame, body...)
}

// frameOf returns the frame of a message.
func frameOf(m p2p.Msg) []byte {
	frame := p2p.Append(make([]byte, frameHeader), m)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-frameHeader))
	return frame
}

// writeFrame writes a frame made by newFrame or frameOf, each chunk within chunkTimeout
// and all of it within its budget. It says when a chunk has moved.
func writeFrame(s stream, frame []byte, moved func(bytes int)) error {
	end := time.Now().Add(frameBudget(len(frame)))
	for len(frame) > 0 {
		chunk := frame[:min(chunkSize, len(frame))]
		if err := s.SetWriteDeadline(earlier(time.Now().Add(chunkTimeout), end)); err != nil {
			return err
		}
		if _, err := s.Write(chunk); err != nil {
			return err
		}
		moved(len(chunk))
		frame = frame[len(chunk):]
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
