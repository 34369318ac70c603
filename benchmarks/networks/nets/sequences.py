"""Modules for sequences, of the tutorials and examples of torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.networks.nets.entry import Entry


class LSTMTagger(nn.Module):
    """torch's tutorials, Sequence models and LSTM networks: a tag for each word."""

    def __init__(self, embedding_dim=6, hidden_dim=16, vocab_size=30, tagset_size=3):
        super().__init__()
        self.hidden_dim = hidden_dim
        self.word_embeddings = nn.Embedding(vocab_size, embedding_dim)
        self.lstm = nn.LSTM(embedding_dim, hidden_dim, batch_first=True)
        self.hidden2tag = nn.Linear(hidden_dim, tagset_size)

    def forward(self, sentence):
        lstm_out, _ = self.lstm(self.word_embeddings(sentence))
        return F.log_softmax(self.hidden2tag(lstm_out), dim=-1)


class CharRNN(nn.Module):
    """torch's tutorials, Classifying names with a character-level RNN."""

    def __init__(self, input_size=58, hidden_size=128, output_size=18):
        super().__init__()
        self.rnn = nn.RNN(input_size, hidden_size, batch_first=True)
        self.h2o = nn.Linear(hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, line_tensor):
        _, hidden = self.rnn(line_tensor)
        return self.softmax(self.h2o(hidden[0]))


class RNNModel(nn.Module):
    """torch's examples, Word-level language modelling: encoder, recurrent module, decoder."""

    def __init__(self, rnn_type="LSTM", ntoken=40, ninp=32, nhid=48, nlayers=2, dropout=0.2):
        super().__init__()
        self.ntoken = ntoken
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(ntoken, ninp)
        recurrent = getattr(nn, rnn_type)
        self.rnn = recurrent(ninp, nhid, nlayers, dropout=dropout, batch_first=True)
        self.decoder = nn.Linear(nhid, ntoken)

    def forward(self, tokens):
        emb = self.drop(self.encoder(tokens))
        output, _ = self.rnn(emb)
        decoded = self.decoder(self.drop(output))
        return F.log_softmax(decoded, dim=-1)


class TimeSeries(nn.Module):
    """torch's examples, Time sequence prediction: two LSTM cells in a loop."""

    def __init__(self):
        super().__init__()
        self.lstm1 = nn.LSTMCell(1, 51)
        self.lstm2 = nn.LSTMCell(51, 51)
        self.linear = nn.Linear(51, 1)

    def forward(self, input):
        outputs = []
        h_t = input.new_zeros(input.size(0), 51)
        c_t, h_t2, c_t2 = (torch.zeros_like(h_t) for _ in range(3))
        for input_t in input.split(1, dim=1):
            h_t, c_t = self.lstm1(input_t, (h_t, c_t))
            h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
            outputs += [self.linear(h_t2)]
        return torch.cat(outputs, dim=1)


TUTORIALS, EXAMPLES = "torch's tutorials", "torch's examples"

ENTRIES = [
    Entry("torch LSTM tagger", TUTORIALS, LSTMTagger, (6,), codes=30),
    Entry("torch character RNN", TUTORIALS, CharRNN, (7, 58)),
    Entry("torch language model, LSTM", EXAMPLES, RNNModel, (8,), codes=40),
    Entry("torch language model, GRU", EXAMPLES, lambda: RNNModel("GRU"), (8,), codes=40),
    Entry("torch time sequence", EXAMPLES, TimeSeries, (6,)),
]
