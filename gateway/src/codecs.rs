//! zstd contexts that requests borrow: making one costs more than compressing a small frame.

use std::sync::{Arc, Mutex, PoisonError};

use tidelog_events::frame::{Decoder, Encoder, FrameError};

/// Contexts that are kept while nobody needs them.
const KEPT: usize = 32;

/// An encoder and a decoder.
pub(crate) struct Codec {
    pub(crate) encoder: Encoder,
    pub(crate) decoder: Decoder,
}

/// The contexts of this process. Clones share them.
#[derive(Clone, Default)]
pub struct Codecs {
    idle: Arc<Mutex<Vec<Codec>>>,
}

impl Codecs {
    /// Runs `work` with a codec.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Codec) -> T) -> Result<T, FrameError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut codec = match idle {
            Some(codec) => codec,
            None => Codec { encoder: Encoder::new()?, decoder: Decoder::new()? },
        };
        let result = work(&mut codec);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(codec);
        }
        Ok(result)
    }
}
