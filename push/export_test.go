package push

// QueueLen returns how many frames are kept.
func (s *Source) QueueLen() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue)
}
