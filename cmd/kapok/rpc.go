package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/rpc"
)

func rpcCommand() *cli.Command {
	return &cli.Command{
		Name:      "rpc",
		Usage:     "call a method of a running node",
		ArgsUsage: "METHOD [PARAMETER…]",
		Description: "Calls a JSON-RPC method by its name in Bitcoin Core and prints the result. What\n" +
			"reads as JSON is passed as JSON, everything else as a string.\n\n" +
			"Examples:\n" +
			"   kapok rpc help                        all methods\n" +
			"   kapok rpc help getblock               one of them\n" +
			"   kapok rpc getblockchaininfo\n" +
			"   kapok rpc --network regtest generatetoaddress 5 kpkrt1…",
		Flags: clientFlags(),
		Action: func(c *cli.Context) error {
			if c.NArg() == 0 {
				return usageError("kapok rpc wants the name of a method: try \"kapok rpc help\"")
			}
			_, client, err := networkAndClient(c)
			if err != nil {
				return err
			}
			defer client.Close()
			var result json.RawMessage
			if err := client.Call(c.Context, c.Args().First(), &result, rpcParams(c.Args().Tail())...); err != nil {
				return rpcFailure(c.Args().First(), err)
			}
			return printResult(c, result)
		},
	}
}

// rpcParams reads each parameter as JSON where it is JSON, else as a string.
func rpcParams(args []string) []any {
	params := make([]any, len(args))
	for i, arg := range args {
		params[i] = arg
		if json.Valid([]byte(arg)) {
			params[i] = json.RawMessage(arg)
		}
	}
	return params
}

// rpcFailure says what the node answered, with its code for scripts.
func rpcFailure(method string, err error) error {
	var answer *rpc.Error
	if errors.As(err, &answer) {
		return fmt.Errorf("%s: %s (code %d)", method, answer.Message, answer.Code)
	}
	return err
}

// printResult prints strings bare, as scripts want them, and all else as JSON.
func printResult(c *cli.Context, result json.RawMessage) error {
	var text string
	if !c.Bool(jsonFlag.Name) && json.Unmarshal(result, &text) == nil {
		_, err := fmt.Fprintln(c.App.Writer, text)
		return err
	}
	return printJSON(c.App.Writer, result)
}
