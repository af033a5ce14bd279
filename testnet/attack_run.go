package testnet

import (
	"context"
	"fmt"

	"github.com/kapok-chain/kapok/testnet/spec"
)

// attack gives a node's owner a second, private node, and has the two attack.
func (r *run) attack(ctx, life context.Context, e *spec.Event) error {
	return fmt.Errorf("not there yet")
}
