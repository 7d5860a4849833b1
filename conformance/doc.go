// Package conformance promises to tell, of any [backends.Store], whether a
// write-ahead log is safe on it: in plain words, with the number of trials and
// the evidence, and without ever calling a correct store unsafe.
//
// A [Check] is a value: an id, the promise it tests in one sentence, why the log
// needs it, and how it runs. [Run] runs checks against a [Target] under one
// fresh prefix, cleans up whatever happens, and returns a [Report], which is the
// truth from which tables, Markdown, HTML and JUnit are rendered. The same
// checks serve the wpcompat command, Go tests (package storetest) and the
// opening probe of a log writer.
//
// # What an outcome means
//
// A check passes if the store kept its promise in a stated number of trials;
// that bounds the chance of a violation (about 3/n at 95 %), it proves nothing.
// It fails if the store broke its promise and there is evidence, always in bytes
// that were read back and never in a status code alone. It is unsupported if the
// store refused honestly. It is inconclusive if throttling, lost answers or time
// decided nothing. Refused and unsafe never look alike: a log must not be opened
// on either, but only the second loses data of those who try.
//
// # What is never evidence
//
// A request whose answer was lost may have been applied, may be applied later,
// or not at all; a request that was throttled may have been applied by a gateway
// in between. Such attempts are counted and never scored, unless the object
// itself shows, by the nonce in its body, that it was there first.
package conformance
