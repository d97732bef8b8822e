//! The program's only source of randomness: SplitMix64, seeded by `--seed`.
//!
//! The generator of Steele, Lea and Flood, "Fast splittable pseudorandom number generators"
//! (OOPSLA 2014): a counter with a mixing function. It is integer arithmetic only, so every
//! machine draws the same numbers.

pub struct Random {
    state: u64,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, each with the same chance (Lemire's multiplication, with rejection).
    ///
    /// # Panics
    /// If `bound` is 0: there is nothing to draw from.
    pub fn below(&mut self, bound: u32) -> u32 {
        assert!(bound > 0, "nothing to draw from");
        let bound = u64::from(bound);
        // The draws that would make some numbers more likely than others.
        let surplus = (1 << 32) % bound;
        loop {
            let product = (self.next_u64() >> 32) * bound;
            if product & 0xffff_ffff >= surplus {
                return (product >> 32) as u32;
            }
        }
    }

    /// A number in [-1, 1) with 53 random bits.
    pub fn symmetric(&mut self) -> f64 {
        const STEP: f64 = 1.0 / (1u64 << 52) as f64;
        (self.next_u64() >> 11) as f64 * STEP - 1.0
    }

    /// Fisher and Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u32 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn draws_the_published_sequence() {
        // The first outputs of the reference implementation (splitmix64.c, Vigna) for seed 1234567.
        let mut random = Random::new(1_234_567);
        let drawn: Vec<u64> = (0..3).map(|_| random.next_u64()).collect();
        assert_eq!(drawn, [6457827717110365317, 3203168211198807973, 9817491932198370423]);
    }

    #[test]
    fn stays_in_range_and_reaches_all_of_it() {
        let mut random = Random::new(7);
        let mut seen = [0u32; 6];
        for _ in 0..6_000 {
            seen[random.below(6) as usize] += 1;
            assert!((-1.0..1.0).contains(&random.symmetric()));
        }
        assert!(seen.iter().all(|&count| (850..1_150).contains(&count)), "{seen:?}");
    }

    #[test]
    fn shuffling_loses_nothing_and_follows_the_seed() {
        let shuffled = |seed| {
            let mut items: Vec<u32> = (0..100).collect();
            Random::new(seed).shuffle(&mut items);
            items
        };
        assert_eq!(shuffled(1), shuffled(1));
        assert_ne!(shuffled(1), shuffled(2));
        let mut sorted = shuffled(1);
        assert_ne!(sorted, (0..100).collect::<Vec<_>>());
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }
}
