#pragma once
// One request to one host: what Http does between two redirections.

#include <curl/curl.h>

#include <chrono>
#include <exception>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "origin/http.h"
#include "origin/url.h"

namespace kiln::import {

/// One thread, one run().
class Transfer {
 public:
  Transfer(const Url& url, const Ask& ask, const AddressRule& rule, Duration patience, Receiver& receiver);
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
  ~Transfer();

  /// As Http::get().
  Answer run(const std::stop_token&);
  /// Where it leads on to; empty when this is the end.
  std::string redirection() const;

 private:
  struct Free {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };
  struct FreeMulti {
    void operator()(CURLM* handle) const { curl_multi_cleanup(handle); }
  };

  void choose_proxy();
  void set_up(const Ask&);
  void ask_for(const Ask&);
  void add_header(const std::string& line);
  /// Does what libcurl wants of us; nothing may be thrown through its code.
  template <class F>
  std::size_t guarded(std::size_t wanted, F&& f) noexcept;
  void take_body(std::span<const std::byte>);
  curl_socket_t connect_to(const curl_sockaddr&);
  bool is_too_slow();
  std::string header(const char* name) const;
  Answer answer() const;
  Answer finished(CURLcode);

  using Clock = std::chrono::steady_clock;
  const Url& url_;
  const AddressRule& rule_;
  Duration patience_;
  Receiver& receiver_;
  bool header_only_;
  std::unique_ptr<curl_slist, Free> headers_;
  std::unique_ptr<CURL, Free> easy_;
  std::unique_ptr<CURLM, FreeMulti> multi_;
  std::vector<Address> proxies_;  // of the proxy's host; empty when there is none
  std::exception_ptr thrown_;     // by what libcurl called
  std::exception_ptr against_;    // why an address was not connected to
  std::size_t header_bytes_ = 0;
  std::uint64_t received_ = 0, received_before_ = 0;  // of the body; when the window began
  Clock::time_point window_;
  bool begun_ = false, enough_ = false;
};

}  // namespace kiln::import
