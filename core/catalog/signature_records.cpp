#include "catalog/signature_records.h"

#include <soci/soci.h>

namespace kiln {

using soci::into;
using soci::use;

void put_signature(soci::session& sql, const std::string& image, const ImageSignature& s) {
  sql << "DELETE FROM image_signatures WHERE image = :i AND signer = :k", use(image), use(s.key);
  sql << "INSERT INTO image_signatures (image, signer, signature, made, signed_at) VALUES (:i, :k, :s, :m, :t)",
      use(image), use(s.key), use(s.signature), use(s.made), use(s.signed_at);
}

void SignatureRecords::put(const std::string& image, const ImageSignature& signature) {
  db_.write([&](soci::session& sql) { put_signature(sql, image, signature); });
}

std::vector<std::pair<std::string, ImageSignature>> all_signatures(soci::session& sql) {
  std::pair<std::string, ImageSignature> row;
  ImageSignature& s = row.second;
  soci::statement query = (sql.prepare << "SELECT image, signer, signature, made, signed_at FROM image_signatures"
                                          " ORDER BY signed_at, signer",
                           into(row.first), into(s.key), into(s.signature), into(s.made), into(s.signed_at));
  query.execute();
  std::vector<std::pair<std::string, ImageSignature>> out;
  while (query.fetch()) out.push_back(row);
  return out;
}

}  // namespace kiln
