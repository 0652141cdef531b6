// SPDX-License-Identifier: MIT
// cereal's archives on our bytes: the way in for types with serialize, save and load functions, and
// for the standard containers, whose code is cereal's.
//
// Every value such a function passes on comes back through codec.h (write_value, read_value), so
// that one rule decides for each type wherever it stands. Counts are held against the bytes left
// before a container believes them. Used by form.h and codec.h.
#pragma once

#include <cereal/cereal.hpp>
#include <cereal/types/common.hpp>
#include <cereal/types/string.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "procpool/detail/buffer.h"

namespace procpool::detail {

[[noreturn]] inline void malformed(const char* what) { throw serialization_error(what); }

// ---- counts -------------------------------------------------------------------------------------

// One byte up to 254; 255 says that eight more follow.
inline void write_count(writer& out, std::uint64_t n) {
  unsigned char small = n < 255 ? static_cast<unsigned char>(n) : 255;
  out.raw(&small, 1);
  if (small == 255) out.raw(&n, sizeof n);
}
/// A count of things that take `least` bytes each, which the message must still hold.
inline std::size_t read_count(reader& in, std::size_t least) {
  unsigned char small = 0;
  in.raw(&small, 1);
  std::uint64_t n = small;
  if (small == 255) in.raw(&n, sizeof n);
  if (n > in.left() / least) reader::too_short();
  return static_cast<std::size_t>(n);
}

// ---- one value on its way -----------------------------------------------------------------------

class output_archive;
class input_archive;
class result_blocks;

/// What becomes of the shared_vectors in a value that is written.
enum class passing {
  copied,    ///< it stays whole: their elements are copied into the message
  moved,     ///< an argument that nobody wants any more: those of this pool are only named
  returned,  ///< a result: all are named
};

/// What is kept while one value, with all that is nested in it, is written. The archive is made
/// when the first value in it needs one: most need none, and it costs more than they do.
struct encoder {
  explicit encoder(writer& w, passing h = passing::copied) : out(w), how(h) {}
  writer& out;
  const passing how;
  output_archive* archive = nullptr;
  int depth = 0;
};
struct decoder {
  explicit decoder(reader& r, bool lend = false, result_blocks* b = nullptr)
      : in(r), lends(lend), blocks(b) {}
  reader& in;
  const bool lends;             // shared_vectors look at what is there; else they get their own
  result_blocks* const blocks;  // of a reply: what its shared_vectors lie in
  input_archive* archive = nullptr;
};

/// The writing side's reader::level, so that what can be written can be read.
class level {
 public:
  explicit level(encoder& e) : encoder_(e) {
    if (++encoder_.depth > reader::deepest) reader::too_deep();
  }
  level(const level&) = delete;
  level& operator=(const level&) = delete;
  ~level() { --encoder_.depth; }

 private:
  encoder& encoder_;
};

template <class T>
inline constexpr bool is_name_value = false;
template <class T>
inline constexpr bool is_name_value<cereal::NameValuePair<T>> = true;
template <class T>
inline constexpr bool is_size_tag = false;
template <class T>
inline constexpr bool is_size_tag<cereal::SizeTag<T>> = true;
template <class T>
inline constexpr bool is_binary = false;
template <class T>
inline constexpr bool is_binary<cereal::BinaryData<T>> = true;
template <class T>
inline constexpr bool is_map_item = false;
template <class K, class V>
inline constexpr bool is_map_item<cereal::MapItem<K, V>> = true;

class output_archive
    : public cereal::OutputArchive<output_archive, cereal::AllowEmptyClassElision> {
  using base = cereal::OutputArchive<output_archive, cereal::AllowEmptyClassElision>;

 public:
  explicit output_archive(encoder& e) : base(this), encoder_(e) { e.archive = this; }
  output_archive(const output_archive&) = delete;
  output_archive& operator=(const output_archive&) = delete;
  ~output_archive() override { encoder_.archive = nullptr; }

  // These hide cereal's, and so see whatever a serialize function passes on.
  template <class... T>
  output_archive& operator()(T&&... values) {
    (one(values), ...);
    return *this;
  }
  template <class T>
  output_archive& operator&(T&& value) {
    one(value);
    return *this;
  }
  template <class T>
  output_archive& operator<<(T&& value) {
    one(value);
    return *this;
  }

  /// To cereal's function for T.
  template <class T>
  void run(const T& value) {
    base::operator()(value);
  }
  void raw(const void* from, std::size_t n) { encoder_.out.raw(from, n); }
  void count(std::uint64_t n) { write_count(encoder_.out, n); }

 private:
  template <class T>
  void one(const T& value);

  encoder& encoder_;
};

class input_archive : public cereal::InputArchive<input_archive, cereal::AllowEmptyClassElision> {
  using base = cereal::InputArchive<input_archive, cereal::AllowEmptyClassElision>;

 public:
  explicit input_archive(decoder& d) : base(this), decoder_(d) { d.archive = this; }
  input_archive(const input_archive&) = delete;
  input_archive& operator=(const input_archive&) = delete;
  ~input_archive() override { decoder_.archive = nullptr; }

  template <class... T>
  input_archive& operator()(T&&... values) {
    (one(values), ...);
    return *this;
  }
  template <class T>
  input_archive& operator&(T&& value) {
    one(value);
    return *this;
  }
  template <class T>
  input_archive& operator>>(T&& value) {
    one(value);
    return *this;
  }

  /// To cereal's function for T, whose count, if it reads one, is of things of `least` bytes.
  template <class T>
  void run(T& value, std::size_t least = 1) {
    least_ = least;
    base::operator()(value);
  }
  void raw(void* to, std::size_t n) { decoder_.in.raw(to, n); }
  std::size_t count() { return read_count(decoder_.in, std::exchange(least_, 1)); }

 private:
  template <class T>
  void one(T& value);

  decoder& decoder_;
  std::size_t least_ = 1;
};

// What cereal itself writes past operator(): class versions, the values of save_minimal.
template <class T>
requires std::is_arithmetic_v<T>
void CEREAL_SAVE_FUNCTION_NAME(output_archive& to, const T& value) { to.raw(&value, sizeof value); }
template <class T>
requires std::is_arithmetic_v<T>
void CEREAL_LOAD_FUNCTION_NAME(input_archive& from, T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    unsigned char byte = 0;
    from.raw(&byte, 1);
    if (byte > 1) malformed("procpool: a bool is neither true nor false");
    value = byte == 1;
  } else {
    from.raw(&value, sizeof value);
  }
}
template <class Archive, class T>
requires(std::is_same_v<Archive, output_archive> ||
         std::is_same_v<
             Archive, input_archive>) void CEREAL_SERIALIZE_FUNCTION_NAME(Archive& archive,
                                                                          cereal::NameValuePair<T>&
                                                                              pair) {
  archive(pair.value);
}
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(output_archive& to, const cereal::SizeTag<T>& tag) {
  to.count(tag.size);
}
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(input_archive& from, cereal::SizeTag<T>& tag) {
  tag.size = from.count();
}
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(output_archive& to, const cereal::BinaryData<T>& bytes) {
  to.raw(bytes.data, static_cast<std::size_t>(bytes.size));
}
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(input_archive& from, cereal::BinaryData<T>& bytes) {
  from.raw(bytes.data, static_cast<std::size_t>(bytes.size));
}

}  // namespace procpool::detail

CEREAL_REGISTER_ARCHIVE(procpool::detail::output_archive)
CEREAL_REGISTER_ARCHIVE(procpool::detail::input_archive)
CEREAL_SETUP_ARCHIVE_TRAITS(procpool::detail::input_archive, procpool::detail::output_archive)
