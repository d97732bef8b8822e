//! The classifier: a perceptron with one hidden layer, and how it learns.
//!
//! 64 pixels → `hidden` rectified units → 10 probabilities (softmax), trained by stochastic
//! gradient descent with momentum on the cross-entropy. Each epoch shows every image a little
//! moved, stretched and slanted, so that the network learns shapes and not the images by heart.
//! Only `+ - * /`, the square root and rounding touch the numbers, in a fixed order: see
//! [`crate::arithmetic`].

use crate::arithmetic::{exp_of_nonpositive, ln};
use crate::dataset::{CLASSES, Image, PIXELS};
use crate::random::Random;
use crate::warp::Warp;

/// Images between two steps of the weights.
const BATCH: usize = 32;
/// The first epoch's step; it falls in a straight line to nothing after the last.
const RATE: f64 = 0.1;
const MOMENTUM: f64 = 0.9;
/// Pulls weights towards zero, so that no single pixel decides.
const WEIGHT_DECAY: f64 = 3e-4;

/// One layer: `sums[o] = bias[o] + Σ input[i] * weights[i * outputs + o]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    pub inputs: usize,
    pub outputs: usize,
    pub weights: Vec<f64>,
    pub bias: Vec<f64>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    pub hidden: Layer,
    pub output: Layer,
}

/// What one pass over the training images came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// Counted from 1.
    pub number: u32,
    /// Mean cross-entropy, in nats.
    pub loss: f64,
    /// Of the images as they were shown (moved, stretched and slanted), while the weights changed.
    pub accuracy: f64,
}

impl Layer {
    fn zero(inputs: usize, outputs: usize) -> Self {
        Self { inputs, outputs, weights: vec![0.0; inputs * outputs], bias: vec![0.0; outputs] }
    }

    /// Uniform weights with variance 2 / inputs, which keeps the signal's size through rectified
    /// units (He et al., 2015).
    fn random(inputs: usize, outputs: usize, random: &mut Random) -> Self {
        let bound = (6.0 / inputs as f64).sqrt();
        let mut layer = Self::zero(inputs, outputs);
        layer.weights.fill_with(|| random.symmetric() * bound);
        layer
    }

    fn sums(&self, input: &[f64], sums: &mut [f64]) {
        sums.copy_from_slice(&self.bias);
        for (value, weights) in input.iter().zip(self.weights.chunks_exact(self.outputs)) {
            // Blank pixels and units that are off are about half of all, and add nothing.
            if *value == 0.0 {
                continue;
            }
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += value * weight;
            }
        }
    }

    /// Adds the slope of the loss for one image; `error` is the slope at the sums.
    fn add_gradient(&mut self, input: &[f64], error: &[f64]) {
        for (bias, error) in self.bias.iter_mut().zip(error) {
            *bias += error;
        }
        for (value, weights) in input.iter().zip(self.weights.chunks_exact_mut(self.outputs)) {
            if *value == 0.0 {
                continue;
            }
            for (weight, error) in weights.iter_mut().zip(error) {
                *weight += value * error;
            }
        }
    }

    /// Moves the weights against the gradient of a batch, and clears the gradient for the next.
    fn step(&mut self, gradient: &mut Layer, velocity: &mut Layer, rate: f64, batch: usize) {
        let share = rate / batch as f64;
        for ((weight, slope), speed) in
            self.weights.iter_mut().zip(&mut gradient.weights).zip(&mut velocity.weights)
        {
            *speed = MOMENTUM * *speed - share * *slope - rate * WEIGHT_DECAY * *weight;
            *weight += *speed;
            *slope = 0.0;
        }
        for ((bias, slope), speed) in
            self.bias.iter_mut().zip(&mut gradient.bias).zip(&mut velocity.bias)
        {
            *speed = MOMENTUM * *speed - share * *slope;
            *bias += *speed;
            *slope = 0.0;
        }
    }
}

/// The values between the layers, for one image at a time.
struct Activations {
    input: [f64; PIXELS],
    hidden: Vec<f64>,
    output: [f64; CLASSES],
}

impl Activations {
    fn of(network: &Network) -> Self {
        Self {
            input: [0.0; PIXELS],
            hidden: vec![0.0; network.hidden.outputs],
            output: [0.0; CLASSES],
        }
    }
}

impl Network {
    pub fn random(hidden: usize, random: &mut Random) -> Self {
        Self {
            hidden: Layer::random(PIXELS, hidden, random),
            output: Layer::random(hidden, CLASSES, random),
        }
    }

    fn zero_like(&self) -> Self {
        Self {
            hidden: Layer::zero(self.hidden.inputs, self.hidden.outputs),
            output: Layer::zero(self.output.inputs, self.output.outputs),
        }
    }

    /// The digit that the network reads in an image.
    pub fn predict(&self, image: &Image) -> u8 {
        let mut values = Activations::of(self);
        values.input = Warp::NONE.apply(image);
        self.forward(&mut values);
        most_likely(&values.output)
    }

    /// Fills in the hidden values and the probabilities.
    fn forward(&self, values: &mut Activations) {
        self.hidden.sums(&values.input, &mut values.hidden);
        for value in &mut values.hidden {
            // Not `max`, which may answer 0 or -0 for those two.
            *value = if *value > 0.0 { *value } else { 0.0 };
        }
        self.output.sums(&values.hidden, &mut values.output);
        let largest = values.output.iter().copied().fold(f64::MIN, f64::max);
        let mut total = 0.0;
        for value in &mut values.output {
            *value = exp_of_nonpositive(*value - largest);
            total += *value;
        }
        for value in &mut values.output {
            *value /= total;
        }
    }

    /// Learns from the images named by `train`; calls `watch` after each epoch and stops at its error.
    pub fn train<E>(
        &mut self,
        images: &[Image],
        train: &[usize],
        epochs: u32,
        random: &mut Random,
        mut watch: impl FnMut(Epoch) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut order = train.to_vec();
        let mut gradient = self.zero_like();
        let mut velocity = self.zero_like();
        let mut values = Activations::of(self);
        for number in 1..=epochs {
            let rate = RATE * f64::from(epochs + 1 - number) / f64::from(epochs);
            let mut loss = 0.0;
            let mut correct = 0u32;
            random.shuffle(&mut order);
            for batch in order.chunks(BATCH) {
                for &index in batch {
                    let image = &images[index];
                    values.input = Warp::random(random).apply(image);
                    self.forward(&mut values);
                    correct += u32::from(most_likely(&values.output) == image.digit);
                    loss -= ln(values.output[usize::from(image.digit)].max(f64::MIN_POSITIVE));
                    self.add_gradients(&values, image.digit, &mut gradient);
                }
                self.hidden.step(&mut gradient.hidden, &mut velocity.hidden, rate, batch.len());
                self.output.step(&mut gradient.output, &mut velocity.output, rate, batch.len());
            }
            let count = train.len() as f64;
            watch(Epoch { number, loss: loss / count, accuracy: f64::from(correct) / count })?;
        }
        Ok(())
    }

    /// Back propagation for the image that `values` belong to.
    fn add_gradients(&self, values: &Activations, digit: u8, gradient: &mut Network) {
        // For the softmax with cross-entropy the slope is the probability minus the truth.
        let mut output_error = values.output;
        output_error[usize::from(digit)] -= 1.0;
        let hidden_error: Vec<f64> = values
            .hidden
            .iter()
            .zip(self.output.weights.chunks_exact(CLASSES))
            .map(|(&value, weights)| {
                // A unit that is off has no slope.
                if value > 0.0 {
                    weights.iter().zip(&output_error).map(|(w, e)| w * e).sum()
                } else {
                    0.0
                }
            })
            .collect();
        gradient.output.add_gradient(&values.hidden, &output_error);
        gradient.hidden.add_gradient(&values.input, &hidden_error);
    }
}

/// The place of the largest probability; the first one of equals.
fn most_likely(probabilities: &[f64; CLASSES]) -> u8 {
    let mut best = 0;
    for (digit, probability) in probabilities.iter().enumerate() {
        if *probability > probabilities[best] {
            best = digit;
        }
    }
    best as u8
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::{Activations, Network};
    use crate::arithmetic::ln;
    use crate::dataset::{Image, PIXELS};
    use crate::random::Random;
    use crate::warp::Warp;

    fn image(digit: u8) -> Image {
        let mut ink = [0; PIXELS];
        for (place, pixel) in ink.iter_mut().enumerate() {
            *pixel = ((place * (usize::from(digit) + 3)) % 17) as u8;
        }
        Image { ink, digit }
    }

    fn loss(network: &Network, image: &Image) -> f64 {
        let mut values = Activations::of(network);
        values.input = Warp::NONE.apply(image);
        network.forward(&mut values);
        -ln(values.output[usize::from(image.digit)])
    }

    #[test]
    fn gradient_is_the_slope_of_the_loss() {
        let network = Network::random(5, &mut Random::new(3));
        let image = image(4);
        let mut values = Activations::of(&network);
        values.input = Warp::NONE.apply(&image);
        network.forward(&mut values);
        let mut gradient = network.zero_like();
        network.add_gradients(&values, image.digit, &mut gradient);

        let step = 1e-6;
        type Weights = fn(&mut Network) -> &mut Vec<f64>;
        let groups: [Weights; 4] = [
            |network| &mut network.hidden.weights,
            |network| &mut network.hidden.bias,
            |network| &mut network.output.weights,
            |network| &mut network.output.bias,
        ];
        for weights in groups {
            for place in 0..weights(&mut gradient).len() {
                let (mut above, mut below) = (network.clone(), network.clone());
                weights(&mut above)[place] += step;
                weights(&mut below)[place] -= step;
                let measured = (loss(&above, &image) - loss(&below, &image)) / (2.0 * step);
                let computed = weights(&mut gradient)[place];
                assert!(
                    (measured - computed).abs() < 1e-6,
                    "{place}: {measured} is not {computed}"
                );
            }
        }
    }

    #[test]
    fn learns_a_handful_of_images_by_heart_and_stops_when_told() {
        let images: Vec<Image> = (0..10).map(image).collect();
        let train: Vec<usize> = (0..10).collect();
        let mut random = Random::new(1);
        let mut network = Network::random(32, &mut random);
        let mut epochs = Vec::new();
        let done: Result<(), Infallible> =
            network.train(&images, &train, 300, &mut random, |epoch| {
                epochs.push(epoch);
                Ok(())
            });
        assert_eq!(done, Ok(()));
        assert_eq!(epochs.len(), 300);
        assert!(epochs[299].loss < epochs[0].loss / 2.0, "{:?} then {:?}", epochs[0], epochs[299]);
        assert!(images.iter().all(|image| network.predict(image) == image.digit));

        let mut seen = 0;
        let stopped = network.train(&images, &train, 300, &mut random, |_| {
            seen += 1;
            if seen == 2 { Err("enough") } else { Ok(()) }
        });
        assert_eq!((stopped, seen), (Err("enough"), 2));
    }
}
