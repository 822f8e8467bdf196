// An event bus as services in Go have it: a map of handler slices behind a read-write lock, events passed by
// value, the handlers copied for each publish, every call guarded by a deferred recovery, and a buffered channel
// with one worker for asynchronous dispatch. It is what Tidelog's InMemoryBus is measured beside.
package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Event is what is published.
type Event struct {
	ID            string
	Type          string
	Payload       []byte
	Metadata      map[string]interface{}
	Timestamp     time.Time
	Source        string
	CorrelationID string
	CausationID   string
	Version       int
}

// Handler is called with each event of the type that it was subscribed to, or with each one for "*".
type Handler func(context.Context, Event) error

var errClosed = errors.New("the bus is closed")
var errNoType = errors.New("the event has no type")

// Bus dispatches events to handlers.
type Bus struct {
	mutex    sync.RWMutex
	handlers map[string][]Handler
	closed   bool
	onError  func(error)
	queue    chan Event
	done     chan struct{}
}

// NewBus makes a bus; with a size above 0 it dispatches from a worker, through a channel of that size.
func NewBus(size int, onError func(error)) *Bus {
	bus := &Bus{handlers: map[string][]Handler{}, onError: onError}
	if size > 0 {
		bus.queue = make(chan Event, size)
		bus.done = make(chan struct{})
		go bus.work()
	}
	return bus
}

// Subscribe adds a handler for a type.
func (b *Bus) Subscribe(eventType string, handler Handler) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.handlers[eventType] = append(b.handlers[eventType], handler)
}

// Publish calls the handlers of the event's type, or puts the event into the channel.
func (b *Bus) Publish(ctx context.Context, event Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if event.Type == "" {
		return errNoType
	}
	if b.isClosed() {
		return errClosed
	}
	if b.queue == nil {
		b.dispatch(ctx, event)
		return nil
	}
	select {
	case b.queue <- event:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *Bus) isClosed() bool {
	b.mutex.RLock()
	defer b.mutex.RUnlock()
	return b.closed
}

func (b *Bus) dispatch(ctx context.Context, event Event) {
	for _, handler := range b.handlersOf(event.Type) {
		b.call(ctx, handler, event)
	}
}

// A copy, so that a handler may subscribe.
func (b *Bus) handlersOf(eventType string) []Handler {
	b.mutex.RLock()
	defer b.mutex.RUnlock()
	exact, every := b.handlers[eventType], b.handlers["*"]
	if len(exact)+len(every) == 0 {
		return nil
	}
	handlers := make([]Handler, 0, len(exact)+len(every))
	return append(append(handlers, exact...), every...)
}

func (b *Bus) call(ctx context.Context, handler Handler, event Event) {
	defer func() {
		if reason := recover(); reason != nil {
			b.onError(fmt.Errorf("a handler panicked: %v", reason))
		}
	}()
	if err := handler(ctx, event); err != nil {
		b.onError(err)
	}
}

func (b *Bus) work() {
	for event := range b.queue {
		b.dispatch(context.Background(), event)
	}
	close(b.done)
}

// Close refuses further events and drains the channel.
func (b *Bus) Close() {
	b.mutex.Lock()
	b.closed = true
	b.mutex.Unlock()
	if b.queue != nil {
		close(b.queue)
		<-b.done
	}
}
