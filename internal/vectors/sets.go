package vectors

// set is one set of cases, and the files that it is read from.
type set struct {
	files   string // a path.Match pattern below Dir
	cases   int    // that must run
	skipped int    // that do not apply
	reason  string // why they do not
}

// sets are all that is published and applies, by the name under which tests
// report it.
var sets = map[string]set{
	"asert":                {files: "asert/run*", cases: 1_500},
	"bip152/compact_block": {files: "bip152/compact_block.json", cases: 8},
	"bip152/siphash":       {files: "bip152/siphash.json", cases: 146},
	"bip173":               {files: "bip173/bech32.json", cases: 35},
	"bip32":                {files: "bip32/vectors_1_2_3.json", cases: 14},
	"bip340": {
		files: "bip340/test-vectors.csv", cases: 15,
		skipped: 4, reason: "they sign messages of other sizes than 32 bytes; here a message is always a hash",
	},
	"bip341": {files: "bip341/wallet-test-vectors.keypath.given.json", cases: 3},
	"bip341 tweaks": {
		files: "bip341/wallet-test-vectors.keypath.given.json", cases: 2,
		skipped: 2, reason: "they tweak with a script tree, which a wallet here never has (BIP86)",
	},
	"bip350":            {files: "bip350/bech32m.json", cases: 44},
	"bip39":             {files: "bip39/vectors_english.json", cases: 24},
	"bip39 english.txt": {files: "bip39/english.txt", cases: 2_048},
	"bip54 txsize":      {files: "bip54/txsize.json", cases: 13},
	"bip86":             {files: "bip86/vectors.json", cases: 3},

	"blocks":                 {files: "blocks/*", cases: 371},
	"blocks/mainnet headers": {files: "blocks/mainnet_*.hex", cases: 266},
	"blocks/stats":           {files: "blocks/regtest_getblockstats.INDEX.json", cases: 3},

	"key_io refused":    {files: "key_io/key_io_[io]*.json", cases: 116},
	"key_io valid_p2tr": {files: "key_io/key_io_valid_p2tr.json", cases: 8},
	"pow/compact_nbits": {files: "pow/compact_nbits.json", cases: 21},
	"psbt bip371":       {files: "psbt/bip371.json", cases: 16},
	"psbt rpc_psbt": {
		files: "psbt/rpc_psbt_given.json", cases: 68,
		skipped: 7, reason: "creator, signer, combiner, finalizer and extractor work on legacy scripts",
	},
	"taproot_ref":     {files: "taproot_ref/keypath_given.json", cases: 266},
	"tx_context_free": {files: "tx_context_free/tx_context_free_given.json", cases: 108},

	"wycheproof pbkdf2_hmacsha512":  {files: "wycheproof/pbkdf2_hmacsha512_test.json", cases: 58},
	"wycheproof xchacha20_poly1305": {files: "wycheproof/xchacha20_poly1305_test.json", cases: 315},
}

// unused are the files that no test reads, and why.
var unused = map[string]string{
	"README.md":     "it describes the folder",
	"bip327/*.json": "MuSig2 is not built yet",
	"bip328/*.json": "MuSig2 is not built yet",

	"wycheproof/aes_gcm_test.json":           "the wallet file does not use AES-GCM",
	"wycheproof/chacha20_poly1305_test.json": "the wallet file uses XChaCha20-Poly1305, which has vectors of its own",
	"wycheproof/hkdf_sha256_test.json":       "the wallet file does not use HKDF",
}
