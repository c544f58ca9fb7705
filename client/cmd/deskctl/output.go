package main

import (
	"google.golang.org/protobuf/proto"

	"github.com/deskbridge/deskbridge/client/cmd/deskctl/internal/render"
)

// printJSON prints a message as one line of JSON.
func printJSON(console *console, message proto.Message) error {
	line, err := render.JSON(message)
	if err != nil {
		return err
	}
	_, err = console.out.Write(line)
	return err
}
