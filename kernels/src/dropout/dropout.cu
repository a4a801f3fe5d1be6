// Dropout: a thread has the features of a channel that share a block of Philox words. Feature channel * plane + place
// lies at place * channels + channel; without a plane, all features are the places of one channel.

struct Dropout {
  u32 features, channels, plane;
  // Blocks of four words that a channel can touch.
  u32 blocks;
};

// The four words of a block: the counter is (block, 0, 0, 0).
__device__ __forceinline__ void dropout_words(u32 block, u32 key_low, u32 key_high, u32 (&words)[4]) {
  const u32 first_multiplier = 0xD2511F53u, second_multiplier = 0xCD9E8D57u;
  u32 a = block, b = 0, c = 0, d = 0;
#pragma unroll
  for (u32 round = 0; round < 10; round++) {
    u32 high_a = __umulhi(first_multiplier, a), low_a = first_multiplier * a;
    u32 high_c = __umulhi(second_multiplier, c), low_c = second_multiplier * c;
    a = high_c ^ b ^ key_low;
    b = low_c;
    c = high_a ^ d ^ key_high;
    d = low_a;
    key_low += 0x9E3779B9u;
    key_high += 0xBB67AE85u;
  }
  words[0] = a;
  words[1] = b;
  words[2] = c;
  words[3] = d;
}

// Words below the threshold drop; what stays is multiplied by the factor. `y` may be `x`.
KERNEL(THREADS) dropout(Dropout size, u32 threshold, float factor, const u64* keys, const act* x, act* y) {
  u32 i = blockIdx.y * THREADS + threadIdx.x, n = blockIdx.x;
  if (i >= size.blocks * size.channels) return;
  u32 channel = i % size.channels, first_feature = channel * size.plane;
  u32 block = first_feature / 4 + i / size.channels;
  u32 words[4];
  dropout_words(block, (u32)keys[n], (u32)(keys[n] >> 32), words);
#pragma unroll
  for (u32 j = 0; j < 4; j++) {
    // Wraps around for a feature of the channel before.
    u32 place = 4 * block + j - first_feature;
    if (place >= size.plane) continue;
    u64 at = (u64)n * size.features + place * size.channels + channel;
    y[at] = x[at] * (words[j] < threshold ? 0.0f : factor);
  }
}
