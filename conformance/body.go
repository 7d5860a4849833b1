package conformance

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"

	"github.com/woodpecker-wal/woodpecker/backends"
)

// A body of bodyHead bytes or more says who wrote it:
//
//	0   magic "wpcompat"
//	8   nonce, 16 bytes, unique in the world
//	24  writer, big-endian uint32
//	28  round, big-endian uint32
//	32  length of the whole body, big-endian uint64
//	40  CRC32C of the bytes from bodyHead on, big-endian uint32
//	44  CRC32C of bytes 0 to 44, big-endian uint32
//	48  filling, pseudo-random from the nonce
const (
	bodyMagic = "wpcompat"
	bodyHead  = 48
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// nonceOf tells [backends.Retry] where a body carries its nonce.
func nonceOf(_ string, body []byte) backends.Range {
	if len(body) < bodyHead || string(body[:8]) != bodyMagic {
		return backends.Range{}
	}
	return backends.Span(8, 16)
}

// newBody makes a body of the given size that nobody else has. Bodies shorter
// than bodyHead are only filling and say nothing.
func newBody(rng *rand.Rand, writer, round, size int) []byte {
	b := make([]byte, size)
	var nonce [16]byte
	binary.BigEndian.PutUint64(nonce[:8], rng.Uint64())
	binary.BigEndian.PutUint64(nonce[8:], rng.Uint64())
	var seed [32]byte
	copy(seed[:], nonce[:])
	fill := b
	if size >= bodyHead {
		fill = b[bodyHead:]
	}
	// ChaCha8 fills at memory speed and never compresses, as log data may not.
	_, _ = rand.NewChaCha8(seed).Read(fill)
	if size < bodyHead {
		return b
	}
	copy(b, bodyMagic)
	copy(b[8:], nonce[:])
	binary.BigEndian.PutUint32(b[24:], uint32(writer))
	binary.BigEndian.PutUint32(b[28:], uint32(round))
	binary.BigEndian.PutUint64(b[32:], uint64(size))
	binary.BigEndian.PutUint32(b[40:], crc32.Checksum(b[bodyHead:], castagnoli))
	binary.BigEndian.PutUint32(b[44:], crc32.Checksum(b[:44], castagnoli))
	return b
}

// bodyID is what a body says about itself.
type bodyID struct {
	nonce         [16]byte
	writer, round int
}

// readBody reads back what newBody wrote, or tells in which way the bytes are
// not one whole body.
func readBody(b []byte) (bodyID, error) {
	var id bodyID
	switch {
	case len(b) == 0:
		return id, fmt.Errorf("0 bytes")
	case len(b) < bodyHead || string(b[:8]) != bodyMagic:
		return id, fmt.Errorf("%d bytes that no writer of this run sent", len(b))
	case binary.BigEndian.Uint32(b[44:]) != crc32.Checksum(b[:44], castagnoli):
		return id, fmt.Errorf("%d bytes with a damaged beginning", len(b))
	case binary.BigEndian.Uint64(b[32:]) != uint64(len(b)):
		return id, fmt.Errorf("%d bytes of a body of %d", len(b), binary.BigEndian.Uint64(b[32:]))
	case binary.BigEndian.Uint32(b[40:]) != crc32.Checksum(b[bodyHead:], castagnoli):
		return id, fmt.Errorf("%d bytes that mix several bodies", len(b))
	}
	copy(id.nonce[:], b[8:24])
	id.writer = int(binary.BigEndian.Uint32(b[24:]))
	id.round = int(binary.BigEndian.Uint32(b[28:]))
	return id, nil
}

// differ describes how got is not want, for a person; "" if they are equal.
func differ(got, want []byte) string {
	switch {
	case bytes.Equal(got, want):
		return ""
	case len(got) != len(want):
		return fmt.Sprintf("%d bytes came back instead of %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			return fmt.Sprintf("byte %d of %d differs", i, len(got))
		}
	}
	return ""
}
