// Package frugal answers one question for tests: does a call cost memory in
// proportion to its input? Whatever a stranger sends may cost that much, and no
// more, whatever it claims.
package frugal
