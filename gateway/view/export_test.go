package view

// Rewind makes the view believe that it has read a partition only up to the offset, as if what lies between had been removed before it
// came to it.
func (v *View) Rewind(topic string, partition int32, offset int64) {
	v.reach.mu.Lock()
	defer v.reach.mu.Unlock()
	v.reach.at[place{v.plan.Name(topic), partition}] = offset
}
