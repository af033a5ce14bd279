// Package address answers one question: which key does this text pay, and how
// is that key written?
//
// An address is BIP350's: bech32m over witness version 1 and a 32-byte x-only
// output key, behind a prefix (HRP) that names the network. No other version,
// length or checksum exists here, so every mistake is found when the text is
// read. Whether the key is a point on the curve is not asked: that is for who
// pays it.
package address
