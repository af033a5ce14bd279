package p2p

import "time"

// Times. docs/network.md numbers them.
const (
	helloTimeout     = 10 * time.Second // from Connected to the peer's hello
	pingInterval     = 30 * time.Second // between pings
	pongTimeout      = 60 * time.Second // after it the peer is dead
	headersLate      = 10 * time.Second // then another peer is asked for headers
	headersTimeout   = 30 * time.Second // then the peer is dropped; 2000 headers are 160 kB
	presyncTurn      = 30 * time.Second // of a first pass, then another peer is asked for headers
	presyncAgain     = 2 * time.Second  // after a look at a chain that led to nothing, doubled each time,
	presyncSeldom    = 10 * time.Minute // up to this
	pollAfterNews    = 2 * time.Second  // of quiet after a hello or news of a block, then the peer is asked for more
	pollEvery        = 30 * time.Second // headers, from each peer: an announcement may have been lost
	askHeadersEvery  = time.Second      // a peer that announces blocks of unknown parents
	stallAfter       = 2 * time.Second  // without the body that is due: another peer is asked too (CVE-2024-52922)
	bodyTransfer     = time.Minute      // 4 MB at 64 kB/s
	bodyTimeout      = 2 * time.Minute  // without a body: dropped; 60 s + bodyTransfer, and that for each asked for before
	lacksFor         = 5 * time.Second  // a peer that had no body, or a bad one, is not asked again
	parkFor          = 10 * time.Second // a request for a body that is on its way to us waits
	reconcileEvery   = 30 * time.Second // mempool ids, to each peer
	reconcileAtLeast = 5 * time.Second  // between two MempoolIDs of one peer, else ignored
	pullTimeout      = 10 * time.Second // a GetTxs without end is given up
	askTxAgain       = 10 * time.Second // a tx asked from one peer is not asked from another before
	forgetPulls      = 10 * time.Minute // then refused transactions are pulled again
	addrsEvery       = 10 * time.Minute // addresses, to each peer
	planEvery        = time.Second      // the bodies to fetch are listed anew
	scoreHalfLife    = 10 * time.Minute // of the misbehaviour score
)

// Counts, each for one peer unless it says otherwise.
const (
	maxPeers       = 1_024 // peers altogether; the host's own limit is lower
	maxInFlight    = MaxGetBlocks
	refillBelow    = maxInFlight / 2 // fewer in flight than this or as many: a new batch is asked for
	fetchWindow    = 1_024           // bodies beyond the first missing one that may be asked for
	maxParallel    = 3               // fetches of one body at once, the last one from an outbound peer
	maxTargets     = 8               // branches whose bodies are fetched at once
	maxServing     = 2 * MaxGetBlocks
	maxLacks       = 64
	maxOwed        = 64       // answers on their way that nobody needs any more
	maxRebuilt     = 64       // announcements remembered, so that variants of one are not looked at
	maxTold        = 64       // blocks that the peer was told of or told us of
	maxAnnounced   = 256      // blocks that were announced, altogether
	maxWantHashes  = MaxOffer // transactions to be asked for by hash
	maxAskedTxs    = 8_192    // transactions asked for by hash, altogether
	maxPulls       = MaxMempoolIDs
	pullsPerTx     = 3       // times that one refused transaction is pulled within forgetPulls
	maxTxsBytes    = 1 << 20 // of one answer to GetTxs; the first one always passes
	addrsPerPeer   = 64      // addresses that are taken from one peer within addrsEvery
	addrsSent      = 32
	reconcileSlack = 6 // blocks that the tip may be behind while mempools are reconciled
)

// Work done for one peer.
const (
	serveBurst = 8 << 20  // bytes of bodies at once
	serveRate  = 16 << 20 // bytes of bodies a second
	// serveBacklog is how many bytes may wait for a peer that reads slowly, then bodies wait:
	// one of full size, and another one is being written. Looked at five times a second, that
	// is more than serveRate.
	serveBacklog = MaxMessage
	// While serveTotal bytes wait for all peers, each is served one body at a time; from
	// serveInbound on only the peers that we chose are, from serveOutbound on nobody, and from
	// serveParts on parts of up to smallPart bytes have to wait too. With one body more that is less
	// than the host's queues hold.
	serveTotal    = 16 << 20
	serveInbound  = 20 << 20
	serveOutbound = 24 << 20
	serveParts    = 28 << 20
	smallPart     = 256 << 10

	workBurst = 2_000 // units (see cost)
	workRate  = 1_000 // units a second
	workSpare = 1_000 // units that answers to GetTxs leave for everything else

	scanPerUnit = 200 // transactions of the mempool that are walked through in a unit
	maxScanCost = 900 // units: less than workBurst - workSpare, or it would never be answered
)

// Misbehaviour. A peer is dropped at dropScore.
const (
	dropScore      = 100
	scoreInvalid   = dropScore // what is invalid for everybody, forever
	scoreMutated   = 50        // the header is fine, so an honest peer would have checked
	scoreMalformed = 20
	scoreNonsense  = 10 // answers nobody can have meant
	scoreExcess    = 1  // unasked for, or too much
)
